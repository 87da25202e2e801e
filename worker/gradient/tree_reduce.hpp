// Sum over lanes along one fixed binary tree, whoever holds the lanes. node(lo, hi) with hi - lo > 1 is
// node(lo, mid) + node(mid, hi), mid = (lo + hi) / 2: the same additions in the same order for any number of workers.
#pragma once
#include <cstdint>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/plan.hpp"
#include "worker/collective/collective.hpp"

namespace plumbline {

/// The maximal subtrees of the tree over [0, lanes) that lie within [begin, end), left to right.
std::vector<LaneRange> subtrees_of(LaneRange range, int lanes);

/// Collects the lanes of one rank, given in ascending order, into its subtrees' sums (at most log2(lanes)+1 buffers live).
class LaneAccumulator {
 public:
  LaneAccumulator(LaneRange range, int lanes, std::int64_t elements, at::TensorOptions options);
  /// A zeroed buffer of `elements` to compute the next lane's values into.
  at::Tensor& next_lane();
  /// The buffer from next_lane is complete: fold it up the tree.
  void finish_lane();
  /// Partial sums, one a subtree of subtrees_of(range, lanes), once every lane is finished.
  [[nodiscard]] const std::vector<at::Tensor>& partials() const;
  void reset();
};

/// All ranks' partials -> the whole sum in `result` on every rank: all-to-all of chunks, ordered sum along the tree, all-gather.
class TreeReducer {
 public:
  TreeReducer(Collective& collective, int lanes, std::int64_t elements, at::TensorOptions options);
  Status reduce(const std::vector<at::Tensor>& partials, at::Tensor& result);
};

}  // namespace plumbline
