// What stands in nccl.cpp's place in a build without CUDA.
#include "worker/collective/nccl_group.hpp"

namespace plumbline {

namespace {
Error absent() {
  return environment_error("this build of the worker has no NCCL", "NCCL",
                           "Build for GPUs (PLUMBLINE_DEVICE=cuda), or set workers.device to cpu.");
}
}  // namespace

Result<std::string> new_nccl_id() { return absent(); }

Result<std::unique_ptr<Collective>> make_nccl_collective(const NcclPlace&, const std::string&) { return absent(); }

}  // namespace plumbline
