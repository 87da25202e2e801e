# What ties the rooms together: the trainer, evaluation, and the program.
plumbline_worker_room(plumbline_training
  SOURCES share.cpp reference.cpp reference_folders.cpp row_log_probs.cpp kl.cpp metrics.cpp trainer.cpp state_copy.cpp evaluate.cpp sample.cpp answer.cpp
  LINKS plumbline_batch plumbline_model plumbline_objective plumbline_optimizer plumbline_gradient plumbline_collective
    plumbline_generate plumbline_checkpoint plumbline_snapshot plumbline_record plumbline_data plumbline_text xxhash)
# What stands for the GPUs of this machine: one file each, chosen here alone.
set(gpus_source gpus_absent.cpp)
if(PLUMBLINE_CUDA)
  set(gpus_source gpus_cuda.cpp)
endif()
plumbline_worker_room(plumbline_device SOURCES device.cpp numerics.cpp ${gpus_source} LINKS plumbline_model plumbline_collective)
add_executable(plumbline-worker main.cpp static_worker.cpp elastic_worker.cpp train_loop.cpp stages.cpp stages_saving.cpp)
target_link_libraries(plumbline-worker PRIVATE plumbline_training plumbline_device plumbline_session plumbline_worker_log plumbline_activity plumbline_wire
  plumbline_config CLI11::CLI11 plumbline_warnings)
set_target_properties(plumbline-worker PROPERTIES ENABLE_EXPORTS ON)  # Its functions have names in stacks.
target_precompile_headers(plumbline-worker REUSE_FROM plumbline_torch_pch)
