// The GPUs that the CUDA runtime shows this process.
#include <cuda_runtime_api.h>

#include "common/core/files.hpp"
#include "worker/device.hpp"

namespace plumbline {

std::vector<Gpu> visible_gpus() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return {};  // no driver, or no GPU
  std::vector<Gpu> gpus;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) return {};
    gpus.push_back({to_hex(std::string_view(properties.uuid.bytes, sizeof properties.uuid.bytes)), properties.name});
  }
  return gpus;
}

}  // namespace plumbline
