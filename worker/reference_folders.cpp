#include "worker/reference_folders.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

#include "common/core/files.hpp"
#include "common/core/json.hpp"

namespace plumbline {

namespace fs = std::filesystem;

ReferenceFolders::ReferenceFolders(std::vector<fs::path> folders, std::string model_json, Collective& collective,
                                   std::function<void(const std::string&)> tell)
    : folders_(std::move(folders)),
      model_json_(std::move(model_json)),
      key_(sha256_hex(model_json_)),
      collective_(collective),
      tell_(std::move(tell)) {}

/// One list for all: another run may be writing just now, and hosts do not all see the same of a network's files.
Result<std::vector<std::string>> ReferenceFolders::kept() {
  std::vector<std::string> parts;
  for (std::size_t f = 0; collective_.rank() == 0 && f < folders_.size(); ++f) {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folders_[f] / key_, ec))
      if (entry.path().extension() == ".h5" && is_hex(entry.path().stem().string(), 32, 32))
        parts.push_back(std::to_string(f) + "/" + entry.path().filename().string());
  }
  return gather(parts);
}

Result<std::string> ReferenceFolders::choose() {
  for (std::size_t f = 0; f < folders_.size(); ++f) {
    const fs::path folder = folders_[f] / key_;
    const auto begin = [&](const std::string& probe) -> Status {
      std::error_code ec;
      fs::create_directories(folder, ec);
      if (ec) return run_error("the folder cannot be made: " + ec.message(), folder.string());
      PLUMBLINE_TRY(write_file_atomically(folder / "model.json", model_json_));
      return write_file_atomically(folder / probe, "");
    };
    std::vector<std::string> probe;
    std::string reason = "not every worker sees this folder";
    if (collective_.rank() == 0) {
      probe = {".probe-" + to_hex(random_bytes(8))};
      if (const Status begun = begin(probe.front()); begun.has_error()) reason = begun.error().message, probe.clear();
    }
    std::error_code ec;
    PLUMBLINE_ASSIGN(const auto shared_probe, gather(probe));
    const bool sees = !shared_probe.empty() && fs::exists(folder / shared_probe.front(), ec);
    PLUMBLINE_ASSIGN(const auto blind, gather(sees ? std::vector<std::string>() : std::vector<std::string>{"blind"}));
    if (!probe.empty()) fs::remove(folder / probe.front(), ec);
    if (blind.empty()) return std::to_string(f) + "/";
    tell("reference log-probs cannot be kept in " + folder.string() + ": " + reason);
  }
  return run_error("there is no folder that can keep reference log-probs", "reference",
                   "Free some space, or make the run directory writable.");
}

fs::path ReferenceFolders::path_of(const std::string& part) const {
  const std::size_t slash = part.find('/');
  return folders_.at(std::stoul(part.substr(0, slash))) / key_ / part.substr(slash + 1);
}

Result<std::vector<std::string>> ReferenceFolders::gather(const std::vector<std::string>& mine) {
  PLUMBLINE_ASSIGN(const auto all, collective_.all_gather_bytes(Json(mine).dump()));
  std::vector<std::string> together;
  for (const std::string& text : all) {
    PLUMBLINE_ASSIGN(const Json strings, parse_json(text, "another worker"));
    for (const Json& string : strings) together.push_back(string.get<std::string>());
  }
  return together;
}

void ReferenceFolders::tell(const std::string& line) const {
  if (collective_.rank() == 0 && tell_) tell_(line);
}

}  // namespace plumbline
