// A logistic classifier over hashed character n-grams (1..5 code points, ASCII lower-cased, 2^18 buckets, L2-normalised
// counts): the judge of norms that no rule can state. Trained by curate on rows kept apart; deterministic for a seed.
// Immutable once trained or loaded, so any thread may ask.
//
// File, little-endian:
//   offset  size  field
//        0     8  magic "PLBLNGRM"
//        8     4  format version (1)
//       12     4  buckets (2^18)
//       16     4  bias, float32
//       20     4  reserved, zero
//       24   1 MiB  weights, one float32 a bucket
//        …     8  XXH3-64 of all that goes before
// The bucket of an n-gram is the low 18 bits of XXH3-64 over its UTF-8 bytes; the text has a space put before and after
// it.
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
  struct Row {
    std::string text;
    bool undesirable;
  };
  static NgramClassifier train(const std::vector<Row>& rows, std::uint64_t seed);
  /// Probability that `text` is undesirable, in (0,1).
  [[nodiscard]] double probability(std::string_view text) const;
  /// Share of rows whose label the threshold 0.5 gives; 0 for no rows.
  [[nodiscard]] double accuracy(const std::vector<Row>& rows) const;
  [[nodiscard]] Status save(const std::filesystem::path& file) const;
  /// A data error that names the file when it is damaged or of another format.
  static Result<NgramClassifier> load(const std::filesystem::path& file);

 private:
  NgramClassifier();
  std::vector<float> weights_;
  float bias_ = 0;
};
}  // namespace plumbline
