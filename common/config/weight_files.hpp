// Where a model folder of HF Transformers has its weights: in model.safetensors, or in shards that
// model.safetensors.index.json lists. Names and places only, no tensor is read. Errors are data errors that name the
// file and the tensor. May be called from any thread.
#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "common/core/result.hpp"

namespace plumbline {

struct WeightFile {
  std::filesystem::path path;
  std::set<std::string> tensors;  ///< what the index says is in it; empty for model.safetensors
};

struct WeightFiles {
  std::filesystem::path listed_in;  ///< model.safetensors itself, or the index
  std::vector<WeightFile> files;    ///< all of them exist; by name
};

/// Whether there is one or the other; model.safetensors counts where both are, as for HF.
bool has_weights(const std::filesystem::path& folder);
/// A file that is missing, and a name in the index that leaves the folder, is an error.
Result<WeightFiles> weight_files(const std::filesystem::path& folder);
/// SHA-256 of model.safetensors, or over the names and hashes of the shards.
Result<std::string> hash_weights(const std::filesystem::path& folder);

}  // namespace plumbline
