// The plan: which examples step n trains on, in which lane and micro-batch. A pure function of (settings, example
// lengths, step); the number of workers is not an argument, which is why a run's weights do not depend on it.
//
// Order: position p = step * global_batch + i of an endless stream; epoch e = p / n; row = keyed permutation of
// (seed, e) evaluated at p mod n (a Feistel network over the next power of four, cycle-walked): no list in memory.
// Lanes: the rows of a step are sorted by length and cut into runs of about equal tokens, one a lane, so that a lane
// holds rows of like length; within a lane they share micro-batches whose padded size stays within
// `micro_batch_tokens`. Only outputs that their norm's objective trains on count (used_sides.hpp): an sft run over
// preferences is cut as one over their demonstrations.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/data/dataset.hpp"

namespace plumbline {

/// Bijection of [0, size) chosen by (seed, epoch).
class KeyedPermutation {
 public:
  KeyedPermutation(std::uint64_t seed, std::uint64_t epoch, std::uint64_t size);
  [[nodiscard]] std::uint64_t operator()(std::uint64_t position) const;

 private:
  std::uint64_t size_, half_bits_, mask_;
  std::uint64_t keys_[6];
};

struct MicroBatch {
  std::vector<std::int64_t> rows;
};  ///< rows of the split, a few of like length
struct Lane {
  std::vector<MicroBatch> micro_batches;
};

/// Counts over the global batch, for one norm: the denominators of its losses, known before any compute.
struct NormTotals {
  std::int64_t examples = 0, demonstrations = 0, preferences = 0, prohibitions = 0;
  std::int64_t desired_tokens = 0, undesired_tokens = 0;  ///< after cutting to max_output_tokens, EOS included
};

/// By norm index.
std::vector<NormTotals> totals_of(const Split& split, const std::vector<std::int64_t>& rows, std::size_t num_norms,
                                  int max_output_tokens);

/// By row of a split, another row of the same norm: whose output kto pairs with the row's source to see how far the
/// model has moved at large. Pinned by the split alone; within a norm every row is the partner of one. A norm's only
/// row is its own.
std::vector<std::int64_t> partners_of(const Split& split, std::size_t num_norms);

struct GlobalBatch {
  Step step;
  std::int64_t epoch = 0;  ///< of the first example
  std::vector<Lane> lanes;
  std::vector<NormTotals> totals;                     ///< by norm index
  std::int64_t source_tokens = 0, output_tokens = 0;  ///< real tokens that are computed, padding not counted
};

class Plan {
 public:
  /// `objectives`: by norm index (objectives_of). `split` outlives the plan. Fails when the split is empty, names a
  /// norm beyond them, or lanes exceed global_batch.
  static Result<Plan> make(const TrainConfig& train, std::uint64_t seed, const Split& split,
                           std::vector<Objective> objectives);
  /// The batch of the step taken after `step` earlier ones: at(Step(0)) is what the first step trains on.
  /// O(global_batch).
  [[nodiscard]] GlobalBatch at(Step step) const;
  /// Rows that the first `steps` steps train on, ascending, each once.
  [[nodiscard]] std::vector<std::int64_t> rows_through(std::int64_t steps) const;
  [[nodiscard]] std::int64_t examples_per_epoch() const { return split_->size(); }

 private:
  /// Of one output of a row, after cutting; 0 where its norm's objective does not train on it.
  [[nodiscard]] std::int64_t computed_tokens(std::int64_t row, Side side) const;

  TrainConfig train_;
  std::uint64_t seed_ = 0;
  const Split* split_ = nullptr;
  std::vector<Objective> objectives_;  ///< by norm index
};

/// Lanes [begin, end) of rank `rank` of `world`: contiguous, sizes differing by at most one.
struct LaneRange {
  int begin = 0, end = 0;
};
LaneRange lanes_of(int rank, int world, int lanes);

/// Fixed batches for work that is not training (reference log-probs, evaluation, generation, snapshots): `rows` sorted
/// by length (then row) and cut into groups of `batch_rows`; batch b belongs to rank b mod world.
std::vector<std::vector<std::int64_t>> fixed_batches(const Split& split, const std::vector<std::int64_t>& rows,
                                                     int batch_rows);

/// The first `per_norm` held-out rows of each norm in an order that hangs on the seed and the examples' ids alone,
/// without the first `skip` of each: the same rows in every evaluation of a run, and the same examples from another
/// dataset that holds them, in whatever order. Lists that do not overlap in that order share no row.
std::vector<std::int64_t> held_out_rows(const Split& split, std::size_t num_norms, int per_norm, std::uint64_t seed,
                                        int skip = 0);

/// A run's probe set (snapshots): at most `examples` held-out rows, as evenly over the norms as they allow. Place in
/// this list is the snapshot's probe_index.
std::vector<std::int64_t> probe_rows(const Split& split, std::size_t num_norms, int examples, std::uint64_t seed);

}  // namespace plumbline
