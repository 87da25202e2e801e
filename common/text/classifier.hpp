// A logistic classifier over hashed character n-grams (1..5, lower-cased, 2^18 buckets, L2-normalised counts): the
// judge of norms that no rule can state. Trained by curate on rows kept apart; deterministic for a seed.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace plumbline {
class NgramClassifier {
 public:
  struct Row { std::string text; bool undesirable; };
  static NgramClassifier train(const std::vector<Row>& rows, std::uint64_t seed);
  /// Probability that `text` is undesirable, in (0,1).
  [[nodiscard]] double probability(std::string_view text) const;
  /// Share of rows whose label the threshold 0.5 gives.
  [[nodiscard]] double accuracy(const std::vector<Row>& rows) const;
  [[nodiscard]] Status save(const std::filesystem::path& file) const;
  static Result<NgramClassifier> load(const std::filesystem::path& file);

 private:
  std::vector<float> weights_;
  float bias_ = 0;
};
}  // namespace plumbline
