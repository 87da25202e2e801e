// Which examples train the model, which evaluate it, and which train and measure a classifier judge. Examples that are
// near copies of each other, or of one group, form a cluster. A cluster is held out as a whole, whatever its norms, so
// that no held-out example was seen in training in another guise. What a norm's judge learns from and is measured on is
// taken out of training, again cluster by cluster, of that norm alone: examples of other norms share no output with it.
// Clusters are dealt in an order that a hash of (seed, example id) gives: nothing depends on the order of the files.
#pragma once
#include <cstdint>
#include <vector>

#include "coordinator/curate/left_out.hpp"
#include "coordinator/curate/pool.hpp"
#include "coordinator/curate/recipe.hpp"

namespace plumbline {

enum class Part : std::uint8_t { kTrain, kHeldOut, kJudgeTrain, kJudgeHeldOut };
inline constexpr int kNumParts = 4;

struct Splits {
  std::vector<Part> parts;  ///< by example of the pool
  std::int64_t clusters = 0, largest_cluster = 0;
};

/// Numbers, by example, that are equal exactly within a cluster.
std::vector<std::uint32_t> cluster_examples(const std::vector<PooledExample>& examples, const Recipe& recipe);

/// Every norm with two clusters or more has at least one example in training and one held out; shares are met as nearly
/// as whole clusters allow, never exceeded unless the smallest cluster does. A source's `part` comes first: the
/// clusters of one that is held out are held out as wholes, and its norm has nothing else held out.
Splits split_examples(const std::vector<PooledExample>& examples, const Recipe& recipe);

/// Takes out of the pool, and notes, every example that may only train and is a near copy of one that must be held out.
void remove_near_held_out(Pool& pool, const Recipe& recipe);

}  // namespace plumbline
