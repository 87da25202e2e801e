#include "worker/device.hpp"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "common/core/json.hpp"

namespace plumbline {

namespace {

constexpr const char* kKey = "workers.device";

std::string host_name() {
  char name[256] = "";
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

Result<std::vector<at::Device>> assign_gpus(const std::vector<RankGpus>& ranks) {
  std::map<std::string, std::size_t> seated;                         // ranks of a host so far
  std::map<std::pair<std::string, std::string>, std::size_t> taken;  // host and GPU -> rank
  std::vector<at::Device> devices;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    const auto& [host, gpu_ids] = ranks[rank];
    if (gpu_ids.empty())
      return environment_error("worker " + std::to_string(rank) + " sees no GPU on " + host, kKey,
                               "Set workers.device to cpu, or build for GPUs (PLUMBLINE_DEVICE=cuda) and see that "
                               "nvidia-smi lists one.");
    const std::size_t index = seated[host]++ % gpu_ids.size();
    const auto [place, is_free] = taken.emplace(std::pair(host, gpu_ids[index]), rank);
    if (!is_free)
      return environment_error("workers " + std::to_string(place->second) + " and " + std::to_string(rank) + " on " +
                                   host + " would share one GPU",
                               kKey, "Start as many workers on a host as it has GPUs, or set workers.device to cpu.");
    devices.emplace_back(at::kCUDA, static_cast<at::DeviceIndex>(index));
  }
  return devices;
}

}  // namespace

Result<std::vector<at::Device>> assign_devices(const std::string& wanted, const std::vector<RankGpus>& ranks) {
  std::vector<at::Device> cpus(ranks.size(), at::Device(at::kCPU));
  if (wanted == "cpu") return cpus;
  auto gpus = assign_gpus(ranks);
  if (gpus.has_error() && wanted == "auto") return cpus;
  return gpus;
}

Result<at::Device> device_of_worker(const std::string& wanted, int number, int count) {
  std::vector<std::string> gpus;
  for (const Gpu& gpu : visible_gpus()) gpus.push_back(gpu.id);
  const std::vector<RankGpus> workers(static_cast<std::size_t>(std::max(count, number + 1)), {host_name(), gpus});
  PLUMBLINE_ASSIGN(const auto devices, assign_devices(wanted, workers));
  return devices[static_cast<std::size_t>(number)];
}

Result<at::Device> choose_device(const std::string& wanted, Collective& collective) {
  Json mine{{"host", host_name()}, {"gpus", Json::array()}};
  for (const Gpu& gpu : visible_gpus()) mine["gpus"].push_back(gpu.id);
  PLUMBLINE_ASSIGN(const auto all, collective.all_gather_bytes(mine.dump()));
  std::vector<RankGpus> ranks;
  for (const auto& text : all) {
    PLUMBLINE_ASSIGN(const Json json, parse_json(text, "another worker"));
    RankGpus rank;
    PLUMBLINE_ASSIGN(rank.host, json_get<std::string>(json, "host", "another worker"));
    PLUMBLINE_ASSIGN(rank.gpu_ids, json_get<std::vector<std::string>>(json, "gpus", "another worker"));
    ranks.push_back(std::move(rank));
  }
  PLUMBLINE_ASSIGN(const auto devices, assign_devices(wanted, ranks));
  return devices[static_cast<std::size_t>(collective.rank())];
}

}  // namespace plumbline
