// The start model's log-probs of the rows of a split that a run uses: 28 bytes a row. prepare_references
// (worker/reference.hpp) fills it; after that it is read only, from any thread.
#pragma once
#include <cstdint>
#include <limits>
#include <vector>

#include "worker/objective/objective.hpp"

namespace plumbline {

class RowLogProbs {
 public:
  static constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();
  /// kUnknown where none was asked for or the side is absent. Sums over all tokens of an output, and over those that
  /// differ from the row's other output (all of them when there is no other).
  struct Values {
    float desired = kUnknown, undesired = kUnknown;
    float desired_differing = kUnknown, undesired_differing = kUnknown;
    float mismatched = kUnknown;  ///< kto: of another row's output given this row's source (make_mismatched_batch)
  };

  RowLogProbs() = default;
  /// In any order. All values are unknown.
  explicit RowLogProbs(std::vector<std::int64_t> rows);
  [[nodiscard]] bool holds(std::int64_t row) const;
  /// Nothing is known of a row that it does not hold, and what is set of it is forgotten.
  [[nodiscard]] Values at(std::int64_t row) const;
  void set(std::int64_t row, const Values& values);
  /// In the order of the batch's output rows, as compute_objective takes them.
  [[nodiscard]] ReferenceLogProbs of(const Batch& batch) const;

 private:
  [[nodiscard]] std::size_t place_of(std::int64_t row) const;  ///< rows_.size() when it is not held
  std::vector<std::int64_t> rows_;                             ///< ascending, each once
  std::vector<Values> values_;
};

}  // namespace plumbline
