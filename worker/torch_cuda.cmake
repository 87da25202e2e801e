# libtorch with CUDA and NCCL, all from the Python environment's wheels: no CUDA toolkit and no nvcc on the machine
# (find_package(Torch) would ask for both; nothing here is a kernel of our own).
get_filename_component(PLUMBLINE_SITE_PACKAGES "${PLUMBLINE_TORCH_DIR}/.." ABSOLUTE)
set(torch_lib "${PLUMBLINE_TORCH_DIR}/lib")
set(cuda_dir "${PLUMBLINE_SITE_PACKAGES}/nvidia/cu13")
set(nccl_dir "${PLUMBLINE_SITE_PACKAGES}/nvidia/nccl")
foreach(file "${cuda_dir}/include/cuda_runtime_api.h" "${cuda_dir}/include/crt/host_defines.h" "${cuda_dir}/include/nv/target"
    "${cuda_dir}/lib/libcudart.so.13" "${nccl_dir}/include/nccl.h" "${nccl_dir}/lib/libnccl.so.2")
  if(NOT EXISTS "${file}")
    message(FATAL_ERROR "${file} is missing: ${PLUMBLINE_VENV} has torch without its CUDA dependencies and headers. "
      "Run PLUMBLINE_DEVICE=cuda ./plumbline setup, or install worker/requirements-cuda.txt there.")
  endif()
endforeach()

target_include_directories(plumbline_torch SYSTEM INTERFACE
  "${PLUMBLINE_TORCH_DIR}/include" "${PLUMBLINE_TORCH_DIR}/include/torch/csrc/api/include"
  "${cuda_dir}/include" "${nccl_dir}/include")
# Nothing names a symbol of libtorch_cuda, which puts its kernels in place when it is loaded: as-needed would drop it.
target_link_libraries(plumbline_torch INTERFACE
  "-Wl,--push-state,--no-as-needed,${torch_lib}/libtorch_cuda.so,--pop-state"
  "${torch_lib}/libtorch_cpu.so" "${torch_lib}/libc10_cuda.so" "${torch_lib}/libc10.so"
  "${cuda_dir}/lib/libcudart.so.13" "${nccl_dir}/lib/libnccl.so.2")
target_link_options(plumbline_torch INTERFACE
  "-Wl,-rpath,${torch_lib}:${cuda_dir}/lib:${nccl_dir}/lib")
file(GLOB wheel_libs "${PLUMBLINE_SITE_PACKAGES}/nvidia/*/lib")
foreach(dir ${wheel_libs})
  target_link_options(plumbline_torch INTERFACE "-Wl,-rpath-link,${dir}")
endforeach()
