// MANIFEST.json of a checkpoint folder: the files it vouches for. A reader trusts nothing else.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/json.hpp"
#include "common/core/result.hpp"

namespace plumbline {

struct ManifestFile {
  std::string name;  ///< inside the folder: "config.json", "adapter/adapter_config.json"
  std::uint64_t bytes = 0;
  std::string sha256;
};

struct CheckpointManifest {
  int version = 1;
  Step step;
  std::vector<ManifestFile> files;  ///< sorted by name
  /// SHA-256 of model.safetensors.
  [[nodiscard]] std::string weights_sha256() const;
};

Status write_manifest(const std::filesystem::path& folder, const CheckpointManifest& manifest);
Result<CheckpointManifest> read_manifest(const std::filesystem::path& folder);
Result<CheckpointManifest> manifest_from_json(const Json& json, const std::string& where);
/// Reads the manifest and checks every file's size and SHA-256; the error names the file at fault.
Result<CheckpointManifest> verify_checkpoint(const std::filesystem::path& folder);

/// state.json inside a checkpoint: what a resume needs beside the tensors.
struct CheckpointState {
  int version = 1;
  Step step;
  std::uint64_t seed = 0;
  std::string dataset_hash;  ///< Dataset::content_hash()
  std::string tokenizer;
  std::string fingerprint;  ///< numeric fingerprint of the workers that wrote it
  std::string base_sha256;  ///< with LoRA: of the start model's weights, which adapters belong to; else empty
};
Json to_json(const CheckpointState& state);
Result<CheckpointState> state_from_json(const Json& json, const std::string& where);

}  // namespace plumbline
