// Near copies: texts whose sets of character shingles overlap by at least a threshold (Jaccard index). Candidates come
// from MinHash signatures cut into bands (Broder 1997; Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, ch.
// 3), and each is checked with the exact index. The bands are chosen so that a pair right at the threshold is missed
// with a probability of at most one in a million. Memory: one signature (512 bytes) a distinct text.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace plumbline {

/// Sets that only grow together (union by size, path halving).
class DisjointSets {
 public:
  explicit DisjointSets(std::size_t size);
  std::size_t find(std::size_t element);
  void join(std::size_t a, std::size_t b);
  [[nodiscard]] std::size_t size() const { return parents_.size(); }

 private:
  std::vector<std::uint32_t> parents_, sizes_;
};

struct NearDuplicateOptions {
  double threshold = 0.8;  ///< Jaccard index, in [0.3, 1]
  int shingle = 5;         ///< code points
};

/// Hashes of the shingles of `text`, ascending, each once. Letter case (ASCII) and the amount of white space do not
/// count; a text shorter than a shingle is one shingle.
std::vector<std::uint64_t> shingles(std::string_view text, int length);
double jaccard(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b);

/// Joins in `sets` every two texts that are near copies. `sets` has one element a text.
void join_near_duplicates(const std::vector<std::string_view>& texts, const NearDuplicateOptions& options,
                          DisjointSets& sets);

/// Bands of how many rows: the most rows for which a pair at the threshold is still found.
int rows_per_band(double threshold);

}  // namespace plumbline
