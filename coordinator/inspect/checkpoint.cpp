#include <algorithm>
#include <cmath>
#include <map>

#include "common/config/adapter_config.hpp"
#include "common/config/weight_files.hpp"
#include "common/core/files.hpp"
#include "common/record/checkpoint_manifest.hpp"
#include "coordinator/inspect/describe.hpp"
#include "coordinator/inspect/range.hpp"
#include "coordinator/inspect/safetensors_header.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "config.json";
constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kStateFile = "state.json";

/// The tensors of the files, and how many parameters they are, into `json`.
Status describe_tensors(const std::vector<fs::path>& files, Json& json) {
  json["tensors"] = Json::array();
  std::uint64_t parameters = 0;
  for (const fs::path& file : files) {
    PLUMBLINE_ASSIGN(const auto tensors, read_safetensors_header(file));
    for (const auto& tensor : tensors) {
      json["tensors"].push_back({{"name", tensor.name}, {"dtype", tensor.dtype}, {"shape", tensor.shape}});
      parameters += tensor.elements();
    }
  }
  json["parameters"] = parameters;
  return {};
}

/// config.json and the tensors of the weights into `json`.
Status describe_model(const fs::path& folder, Json& json) {
  PLUMBLINE_ASSIGN(json["config"], read_json_file(folder / kConfigFile));
  PLUMBLINE_ASSIGN(const WeightFiles weights, weight_files(folder));
  std::vector<fs::path> files;
  for (const WeightFile& file : weights.files) files.push_back(file.path);
  return describe_tensors(files, json);
}

bool vouches_for(const CheckpointManifest& manifest, const std::string& name) {
  return std::any_of(manifest.files.begin(), manifest.files.end(),
                     [&](const ManifestFile& file) { return file.name == name; });
}

Status describe_state(const fs::path& file, Json& json) {
  PLUMBLINE_ASSIGN(const Json state_json, read_json_file(file));
  PLUMBLINE_ASSIGN(const CheckpointState state, state_from_json(state_json, file.string()));
  json["seed"] = state.seed;
  json["tokenizer"] = state.tokenizer;
  json["dataset_hash"] = state.dataset_hash;
  json["fingerprint"] = state.fingerprint;
  if (!state.base_sha256.empty()) json["base_sha256"] = state.base_sha256;
  return {};
}

}  // namespace

Result<Json> describe_adapter(const fs::path& folder) {
  PLUMBLINE_ASSIGN(const Json saved, read_json_file(folder / kAdapterConfigFile));
  PLUMBLINE_ASSIGN(const LoraConfig lora, from_peft_config(saved, (folder / kAdapterConfigFile).string()));
  Json json{{"kind", "adapter"},   {"path", folder.string()}, {"rank", lora.rank},
            {"alpha", lora.alpha}, {"dropout", lora.dropout}, {"targets", lora.targets}};
  PLUMBLINE_TRY(describe_tensors({folder / kAdapterFile}, json));
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

Result<Json> describe_checkpoint(const fs::path& folder) {
  std::error_code ec;
  Json json{{"kind", "checkpoint"}, {"path", folder.string()}};
  if (!fs::exists(folder / "MANIFEST.json", ec)) {
    json["kind"] = "model";
    PLUMBLINE_TRY(describe_model(folder, json));
    return Result<Json>(boost::system::in_place_value, std::move(json));
  }
  PLUMBLINE_ASSIGN(const CheckpointManifest manifest, verify_checkpoint(folder));
  for (const char* name : {kConfigFile, kModelFile, kStateFile})
    if (!vouches_for(manifest, name))
      return data_error(std::string("the manifest has no ") + name, (folder / "MANIFEST.json").string(),
                        "The checkpoint is incomplete; use another.");
  json["step"] = manifest.step.value();
  json["weights_sha256"] = manifest.weights_sha256();
  json["files"] = Json::array();
  for (const auto& file : manifest.files)
    json["files"].push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  PLUMBLINE_TRY(describe_state(folder / kStateFile, json));
  PLUMBLINE_TRY(describe_model(folder, json));
  if (vouches_for(manifest, std::string(kAdapterFolder) + "/" + kAdapterConfigFile)) {
    PLUMBLINE_ASSIGN(json["adapter"], describe_adapter(folder / kAdapterFolder));
  }
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

Json describe_snapshot(const Snapshot& snapshot) {
  std::map<std::uint16_t, std::int64_t> norms;
  for (const std::uint16_t norm : snapshot.norms) ++norms[norm];
  Range length;
  const auto dimension = static_cast<std::size_t>(snapshot.dimension);
  for (std::size_t row = 0; row < snapshot.rows(); ++row) {
    double squares = 0;
    for (std::size_t i = row * dimension; i < (row + 1) * dimension; ++i)
      squares += static_cast<double>(snapshot.vectors[i]) * static_cast<double>(snapshot.vectors[i]);
    length.add(std::sqrt(squares));
  }
  Json json{{"kind", "snapshot"},
            {"step", snapshot.step},
            {"rows", snapshot.rows()},
            {"dimension", snapshot.dimension},
            {"pooling", snapshot.pooling},
            {"norms", Json::array()},
            {"vector_length", length.to_json()},
            {"attributes", Json::object()}};
  for (const auto& [index, rows] : norms) json["norms"].push_back({{"index", index}, {"rows", rows}});
  for (const auto& [name, values] : snapshot.attributes) {
    Range range;
    for (const float value : values) range.add(static_cast<double>(value));
    json["attributes"][name] = range.to_json();
  }
  return json;
}

}  // namespace plumbline
