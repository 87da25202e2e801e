// Curation: a recipe's sources become a checked, split, tokenised dataset.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/dataset.hpp"

namespace plumbline {
struct CurateOptions {
  std::filesystem::path recipe;
  std::filesystem::path out;  ///< must not exist, or be empty, or hold a dataset when `replace`
  std::map<std::string, std::filesystem::path> source_paths;  ///< --source NAME=PATH
  bool replace = false;
};
/// Nothing is left at `out` on an error. Logs progress and what was left out, with row numbers.
Result<DatasetInfo> curate(const CurateOptions& options);
}  // namespace plumbline
