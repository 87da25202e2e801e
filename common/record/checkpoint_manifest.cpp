#include "common/record/checkpoint_manifest.hpp"

#include <algorithm>
#include <system_error>

#include "common/core/files.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

constexpr const char* kManifestFile = "MANIFEST.json";
constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kDamaged = "The checkpoint is damaged: use an older one, or an intact copy.";
constexpr int kManifestVersion = 1;
constexpr std::uint64_t kMaxManifestBytes = 16u << 20;
constexpr std::size_t kMaxFiles = 10'000;

Status check_version(int version, const std::string& where) {
  if (version == kManifestVersion) return {};
  return data_error("version " + std::to_string(version) + " is not known, this program reads version " +
                        std::to_string(kManifestVersion),
                    where, "Use the program that wrote it, or a newer one.");
}

Result<Step> read_step(const Json& json, const std::string& where) {
  PLUMBLINE_ASSIGN(const auto step, json_get<std::int64_t>(json, "step", where));
  if (step < 0) return data_error("the key \"step\" is negative", where);
  return Step(step);
}

Result<ManifestFile> file_from_json(const Json& json, const std::string& where) {
  ManifestFile file;
  PLUMBLINE_ASSIGN(file.name, json_get<std::string>(json, "name", where));
  PLUMBLINE_ASSIGN(file.bytes, json_get<std::uint64_t>(json, "bytes", where));
  PLUMBLINE_ASSIGN(file.sha256, json_get<std::string>(json, "sha256", where));
  // A name that leads out of the folder would make us vouch for, or read, somebody else's file.
  if (!is_inner_path(file.name)) return data_error("a file name in it leads out of the folder", where, kDamaged);
  if (!is_hex(file.sha256, 64, 64)) return data_error("the SHA-256 of " + file.name + " is malformed", where, kDamaged);
  return file;
}

bool by_name(const ManifestFile& a, const ManifestFile& b) { return a.name < b.name; }
bool same_name(const ManifestFile& a, const ManifestFile& b) { return a.name == b.name; }

Status check_file(const fs::path& folder, const ManifestFile& file) {
  const fs::path path = folder / file.name;
  std::error_code ec;
  if (!fs::is_regular_file(path, ec)) return data_error("the file is missing", path.string(), kDamaged);
  const auto bytes = fs::file_size(path, ec);
  if (ec || bytes != file.bytes)
    return data_error(
        "the file has " + std::to_string(bytes) + " bytes, the manifest says " + std::to_string(file.bytes),
        path.string(), kDamaged);
  PLUMBLINE_ASSIGN(const std::string sha256, sha256_file(path));
  if (sha256 != file.sha256)
    return data_error("the file's content is not what was saved (its SHA-256 differs from the manifest's)",
                      path.string(), kDamaged);
  return {};
}

}  // namespace

std::string CheckpointManifest::weights_sha256() const {
  const auto weights = std::find_if(files.begin(), files.end(), [](const auto& f) { return f.name == kWeightsFile; });
  return weights == files.end() ? std::string() : weights->sha256;
}

Status write_manifest(const fs::path& folder, const CheckpointManifest& manifest) {
  std::vector<ManifestFile> files = manifest.files;
  std::sort(files.begin(), files.end(), by_name);
  Json json{{"version", manifest.version}, {"step", manifest.step.value()}, {"files", Json::array()}};
  for (const ManifestFile& file : files)
    json["files"].push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return write_file_atomically(folder / kManifestFile, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<CheckpointManifest> read_manifest(const fs::path& folder) {
  const std::string where = (folder / kManifestFile).string();
  PLUMBLINE_ASSIGN(const std::string text, read_file(folder / kManifestFile, kMaxManifestBytes));
  PLUMBLINE_ASSIGN(const Json json, parse_json(text, where));
  return manifest_from_json(json, where);
}

Result<CheckpointManifest> manifest_from_json(const Json& json, const std::string& where) {
  CheckpointManifest manifest;
  PLUMBLINE_ASSIGN(manifest.version, json_get<int>(json, "version", where));
  PLUMBLINE_TRY(check_version(manifest.version, where));
  PLUMBLINE_ASSIGN(manifest.step, read_step(json, where));
  PLUMBLINE_ASSIGN(const auto files, json_get<std::vector<Json>>(json, "files", where));
  if (files.size() > kMaxFiles)
    return data_error("more than " + std::to_string(kMaxFiles) + " files are listed", where, kDamaged);
  for (const Json& entry : files) {
    PLUMBLINE_ASSIGN(ManifestFile file, file_from_json(entry, where));
    manifest.files.push_back(std::move(file));
  }
  std::sort(manifest.files.begin(), manifest.files.end(), by_name);
  const auto twice = std::adjacent_find(manifest.files.begin(), manifest.files.end(), same_name);
  if (twice != manifest.files.end()) return data_error("the file " + twice->name + " is listed twice", where, kDamaged);
  return manifest;
}

Result<CheckpointManifest> verify_checkpoint(const fs::path& folder) {
  PLUMBLINE_ASSIGN(CheckpointManifest manifest, read_manifest(folder));
  if (manifest.weights_sha256().empty())
    return data_error(std::string("the manifest does not list ") + kWeightsFile, (folder / kManifestFile).string(),
                      kDamaged);
  for (const ManifestFile& file : manifest.files) PLUMBLINE_TRY(check_file(folder, file));
  return manifest;
}

Json to_json(const CheckpointState& state) {
  Json json{{"version", state.version},           {"step", state.step.value()},   {"seed", state.seed},
            {"dataset_hash", state.dataset_hash}, {"tokenizer", state.tokenizer}, {"fingerprint", state.fingerprint}};
  if (!state.base_sha256.empty()) json["base_sha256"] = state.base_sha256;
  return json;
}

Result<CheckpointState> state_from_json(const Json& json, const std::string& where) {
  CheckpointState state;
  PLUMBLINE_ASSIGN(state.version, json_get<int>(json, "version", where));
  PLUMBLINE_TRY(check_version(state.version, where));
  PLUMBLINE_ASSIGN(state.step, read_step(json, where));
  PLUMBLINE_ASSIGN(state.seed, json_get<std::uint64_t>(json, "seed", where));
  PLUMBLINE_ASSIGN(state.dataset_hash, json_get<std::string>(json, "dataset_hash", where));
  PLUMBLINE_ASSIGN(state.tokenizer, json_get<std::string>(json, "tokenizer", where));
  PLUMBLINE_ASSIGN(state.fingerprint, json_get<std::string>(json, "fingerprint", where));
  if (json.contains("base_sha256")) {
    PLUMBLINE_ASSIGN(state.base_sha256, json_get<std::string>(json, "base_sha256", where));
  }
  return state;
}

}  // namespace plumbline
