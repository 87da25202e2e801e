// Where a model's reference log-probs lie: FOLDER/KEY/model.json and parts beside it (docs/formats.md), in one or more
// folders. KEY, 64 hex digits, is the SHA-256 of model.json, which holds all that the numbers depend on beside the
// rows. All ranks call the functions that return a Result together.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "worker/collective/collective.hpp"

namespace plumbline {

class ReferenceFolders {
 public:
  /// `collective` outlives it. `tell` takes lines for the log, of rank 0.
  ReferenceFolders(std::vector<std::filesystem::path> folders, std::string model_json, Collective& collective,
                   std::function<void(const std::string&)> tell);
  [[nodiscard]] const std::string& key() const { return key_; }

  /// The parts that rank 0 sees. They are named FOLDER/FILE, the first a number in `folders`.
  Result<std::vector<std::string>> kept();
  /// The first folder that rank 0 can write to and all ranks see, as "FOLDER/" for names of new parts. Says which it
  /// passes over, and why.
  Result<std::string> choose();
  [[nodiscard]] std::filesystem::path path_of(const std::string& part) const;
  /// Every rank's strings, one after the other.
  Result<std::vector<std::string>> gather(const std::vector<std::string>& mine);
  void tell(const std::string& line) const;

 private:
  std::vector<std::filesystem::path> folders_;
  std::string model_json_, key_;
  Collective& collective_;
  std::function<void(const std::string&)> tell_;
};

}  // namespace plumbline
