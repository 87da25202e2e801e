// Sum over lanes along one fixed binary tree, whoever holds the lanes. node(lo, hi) with hi - lo > 1 is
// node(lo, mid) + node(mid, hi), mid = (lo + hi) / 2: the same additions in the same order for any number of workers.
#pragma once
#include <cstdint>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/lane_shares.hpp"
#include "worker/collective/collective.hpp"

namespace plumbline {

/// The maximal subtrees of the tree over [0, lanes) that lie within [begin, end), left to right.
std::vector<LaneRange> subtrees_of(LaneRange range, int lanes);

/// Collects the lanes of one rank, given in ascending order, into its subtrees' sums (at most log2(lanes)+1 buffers
/// live).
class LaneAccumulator {
 public:
  LaneAccumulator(LaneRange range, int lanes, std::int64_t elements, at::TensorOptions options);
  /// A zeroed buffer of `elements` to compute the next lane's values into.
  at::Tensor& next_lane();
  /// The buffer from next_lane is complete: fold it up the tree.
  void finish_lane();
  /// Partial sums, one a subtree of subtrees_of(range, lanes), once every lane is finished.
  [[nodiscard]] const std::vector<at::Tensor>& partials() const;
  /// Ready for the next step's lanes; the buffers are kept, so memory does not grow with steps.
  void reset();

 private:
  at::Tensor take_buffer();

  LaneRange range_;
  std::int64_t elements_;
  at::TensorOptions options_;
  std::vector<int> folds_after_;  ///< by lane of the range: inner nodes that this lane completes
  std::size_t lanes_done_ = 0, num_partials_ = 0;
  at::Tensor current_;             ///< the lane that is being computed
  std::vector<at::Tensor> stack_;  ///< complete subtrees, left to right
  std::vector<at::Tensor> free_;
};

/// All ranks' partials -> the whole sum in `result` on every rank: all-to-all of chunks, ordered sum along the tree,
/// all-gather.
class TreeReducer {
 public:
  /// `shares`: lanes of each rank of the collective, the same on all ranks.
  TreeReducer(Collective& collective, const LaneShares& shares, std::int64_t elements, at::TensorOptions options);
  /// `partials` are this rank's subtrees_of(lanes_of(rank, shares), lanes); `result` has `elements`.
  Status reduce(const std::vector<at::Tensor>& partials, at::Tensor& result);

 private:
  using Counts = std::vector<std::int64_t>;
  /// A subtree's sum as its holder sends it.
  struct Piece {
    LaneRange lanes;
    int holder = 0;           ///< rank
    std::size_t index = 0;    ///< among the holder's partials
    std::int64_t offset = 0;  ///< in received_, in elements
  };
  [[nodiscard]] at::Tensor sum_of(LaneRange node);
  [[nodiscard]] at::Tensor received(const Piece& piece);

  Collective& collective_;
  int lanes_;
  Counts chunk_sizes_, chunk_offsets_;  ///< by rank: the part of the elements that it sums
  std::vector<Piece> pieces_;           ///< by first lane
  std::size_t rounds_ = 0;              ///< most partials that any rank holds
  at::Tensor received_, nothing_;
};

}  // namespace plumbline
