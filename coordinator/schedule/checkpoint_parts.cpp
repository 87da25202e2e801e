#include "coordinator/schedule/checkpoint_parts.hpp"

#include <algorithm>

#include "common/core/files.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kMostNameBytes = 200;

/// "model.safetensors", "adapter/adapter_config.json"; nothing hidden, and nothing outside the folder.
bool is_part_name(const std::string& name) {
  return is_inner_path(name) && name.size() <= kMostNameBytes && name != "MANIFEST.json" && name.front() != '.' &&
         name.find("/.") == std::string::npos &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

Result<bool> CheckpointParts::add(const PartWritten& part) {
  const std::string where = "checkpoint of step " + std::to_string(part.step);
  if (!is_part_name(part.file)) return run_error("a part has a name that no checkpoint's file has", where);
  if (!is_sha256(part.sha256)) return run_error("the part " + part.file + " has no SHA-256", where);
  if (part.parts < 1 || part.parts > kMostParts)
    return run_error("the number of parts is " + std::to_string(part.parts), where);
  if (parts_ != 0 && parts_ != part.parts)
    return run_error("the part " + part.file + " speaks of " + std::to_string(part.parts) + " parts, another of " +
                         std::to_string(parts_),
                     where);
  const auto known = files_.find(part.file);
  if (known != files_.end()) {
    if (known->second.sha256 == part.sha256 && known->second.bytes == part.bytes) return false;
    return run_error("the part " + part.file + " was written twice, with different contents", where);
  }
  if (complete()) return run_error("the part " + part.file + " is one too many", where);
  parts_ = part.parts;
  files_[part.file] = {part.file, part.bytes, part.sha256};
  return complete();
}

std::vector<ManifestFile> CheckpointParts::files() const {
  std::vector<ManifestFile> files;
  for (const auto& [name, file] : files_) files.push_back(file);
  return files;
}

}  // namespace plumbline
