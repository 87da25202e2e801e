# libtorch from the `torch` wheel in the project's Python environment.
#   CPU:  the wheel without its CUDA dependencies; only libtorch_cpu and libc10 are linked.
#   CUDA: the wheel with its dependencies (torch_cuda.cmake).
file(GLOB PLUMBLINE_TORCH_DIRS "${PLUMBLINE_VENV}/lib/python3*/site-packages/torch")
if(NOT PLUMBLINE_TORCH_DIRS)
  message(FATAL_ERROR "No torch in ${PLUMBLINE_VENV}. Run ./plumbline setup, or pass -DPLUMBLINE_VENV=DIR "
    "(a Python environment with torch==2.11.0), or -DPLUMBLINE_WORKER=OFF for the command line alone.")
endif()
list(GET PLUMBLINE_TORCH_DIRS 0 PLUMBLINE_TORCH_DIR)

add_library(plumbline_torch INTERFACE)
if(PLUMBLINE_CUDA)
  include("${CMAKE_CURRENT_LIST_DIR}/torch_cuda.cmake")
else()
  target_include_directories(plumbline_torch SYSTEM INTERFACE
    "${PLUMBLINE_TORCH_DIR}/include" "${PLUMBLINE_TORCH_DIR}/include/torch/csrc/api/include")
  target_link_libraries(plumbline_torch INTERFACE "${PLUMBLINE_TORCH_DIR}/lib/libtorch_cpu.so" "${PLUMBLINE_TORCH_DIR}/lib/libc10.so")
  target_link_options(plumbline_torch INTERFACE "-Wl,-rpath,${PLUMBLINE_TORCH_DIR}/lib")
  file(GLOB PLUMBLINE_CUDA_WHEEL_LIBS "${PLUMBLINE_TORCH_DIR}/../nvidia/*/lib" "${PLUMBLINE_TORCH_DIR}/../nvidia/cu13/lib")
  foreach(dir ${PLUMBLINE_CUDA_WHEEL_LIBS})
    target_link_options(plumbline_torch INTERFACE "-Wl,-rpath-link,${dir}")
  endforeach()
endif()
