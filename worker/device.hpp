// Which processor each rank of a group computes on. Either all ranks take a GPU of their own or all take the CPU; the
// choice is a pure function of what they report, so every rank makes the same one.
#pragma once
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "worker/collective/collective.hpp"

namespace plumbline {

struct Gpu {
  std::string id;     ///< the same for two processes only when they mean the same GPU
  std::string model;  ///< "NVIDIA H100 80GB HBM3"
};
/// The GPUs that this process sees, by index; none in a build without CUDA (gpus_absent.cpp) or without a driver.
std::vector<Gpu> visible_gpus();

/// What one rank reports.
struct RankGpus {
  std::string host;
  std::vector<std::string> gpu_ids;
};

/// One device a rank. `wanted` is workers.device: auto takes GPUs when each rank has one of its own. The n-th rank of a
/// host takes the n-th GPU that it sees, wrapping around (a scheduler may show each rank its own GPU alone). Fails with
/// an environment error when cuda is wanted and a rank has no GPU, or two ranks the same.
Result<std::vector<at::Device>> assign_devices(const std::string& wanted, const std::vector<RankGpus>& ranks);

/// The device of worker `number` of `count` that share this machine, whichever of them are alive: with auto a GPU of
/// its own when every worker has one, with cuda a GPU or an environment error.
Result<at::Device> device_of_worker(const std::string& wanted, int number, int count);

/// This rank's device. All ranks together.
Result<at::Device> choose_device(const std::string& wanted, Collective& collective);

}  // namespace plumbline
