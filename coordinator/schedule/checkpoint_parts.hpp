// Counts the parts of a checkpoint as workers report them written. Pure.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/record/checkpoint_manifest.hpp"
#include "common/wire/message.hpp"

namespace plumbline {

inline constexpr int kMostParts = 4096;

/// The parts of one step, of one generation.
class CheckpointParts {
 public:
  /// True when this part makes the checkpoint complete; false when others are missing, or when it was known already.
  /// A run error, naming the file, for a part that cannot be: a name that is not a plain file's, another number of
  /// parts than before, or a known file with other contents.
  Result<bool> add(const PartWritten& part);
  [[nodiscard]] bool complete() const { return parts_ > 0 && static_cast<int>(files_.size()) == parts_; }
  /// Sorted by name.
  [[nodiscard]] std::vector<ManifestFile> files() const;

 private:
  int parts_ = 0;
  std::map<std::string, ManifestFile> files_;
};

}  // namespace plumbline
