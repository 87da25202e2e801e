#include "common/config/weight_files.hpp"

#include <map>
#include <system_error>

#include "common/core/files.hpp"
#include "common/core/json.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

constexpr const char* kWhole = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

bool is_file(const fs::path& path) {
  std::error_code ec;
  return fs::is_regular_file(path, ec);
}

/// The index's weight_map, turned around: file -> its tensors.
Result<std::map<std::string, std::set<std::string>>> read_index(const fs::path& index) {
  PLUMBLINE_ASSIGN(const Json json, read_json_file(index));
  const auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object() || map->empty())
    return data_error("the key weight_map is missing or is no map of tensors to files", index.string());
  std::map<std::string, std::set<std::string>> files;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || !is_file_name(file.get<std::string>()))
      return data_error(
          "the tensor " + tensor + " is said to be in " + to_line(file) + ", which is not the name of a file here",
          index.string(), "Shards lie beside the index.");
    files[file.get<std::string>()].insert(tensor);
  }
  return files;
}

}  // namespace

bool has_weights(const fs::path& folder) { return is_file(folder / kWhole) || is_file(folder / kIndex); }

Result<WeightFiles> weight_files(const fs::path& folder) {
  if (is_file(folder / kWhole)) return WeightFiles{folder / kWhole, {{folder / kWhole, {}}}};
  if (!is_file(folder / kIndex))
    return data_error(
        "the model's weights are missing", (folder / kWhole).string(),
        std::string("A model folder has ") + kWhole + ", or " + kIndex + " and the shards that it lists.");
  PLUMBLINE_ASSIGN(const auto listed, read_index(folder / kIndex));
  WeightFiles weights{folder / kIndex, {}};
  for (const auto& [name, tensors] : listed) {
    if (!is_file(folder / name))
      return data_error("the shard is missing, in which " + std::string(kIndex) + " has " +
                            std::to_string(tensors.size()) + " tensors, " + *tensors.begin() + " among them",
                        (folder / name).string(), "Use a complete copy of the model.");
    weights.files.push_back({folder / name, tensors});
  }
  return weights;
}

Result<std::string> hash_weights(const fs::path& folder) {
  PLUMBLINE_ASSIGN(const WeightFiles weights, weight_files(folder));
  if (weights.listed_in == weights.files.front().path) return sha256_file(weights.listed_in);
  std::string lines;
  for (const WeightFile& file : weights.files) {
    PLUMBLINE_ASSIGN(const std::string hash, sha256_file(file.path));
    lines += file.path.filename().string() + " " + hash + "\n";
  }
  return sha256_hex(lines);
}

}  // namespace plumbline
