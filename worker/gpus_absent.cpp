// What stands in gpus_cuda.cpp's place in a build without CUDA.
#include "worker/device.hpp"

namespace plumbline {
std::vector<Gpu> visible_gpus() { return {}; }
}  // namespace plumbline
