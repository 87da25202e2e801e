// Lane values whose sum shows the order in which they were added: magnitudes far apart and of both signs, so that every
// other grouping rounds otherwise somewhere.
#pragma once
#include <cmath>
#include <numeric>

#include "worker/gradient/tree_reduce.hpp"

namespace plumbline {

inline at::Tensor lane_values(int lane, std::int64_t elements) {
  at::Tensor values = at::empty({elements}, at::kFloat);
  float* out = values.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < elements; ++i) {
    const auto hash = static_cast<std::uint32_t>(
        (static_cast<std::uint64_t>(i) * 31 + static_cast<std::uint64_t>(lane)) * 0x9e3779b97f4a7c15ull >> 32);
    out[i] = std::ldexp(1.0f + static_cast<float>(hash & 0xffff) / 65536.0f, static_cast<int>(hash >> 16 & 15)) *
             (hash >> 31 != 0 ? -1.0f : 1.0f);
  }
  return values;
}

/// The definition, written out: node(lo, hi) = node(lo, mid) + node(mid, hi).
inline at::Tensor tree_sum(int lanes, std::int64_t elements, int lo = 0, int hi = -1) {
  if (hi < 0) hi = lanes;
  if (hi - lo == 1) return lane_values(lo, elements);
  const int mid = (lo + hi) / 2;
  return tree_sum(lanes, elements, lo, mid) + tree_sum(lanes, elements, mid, hi);
}

/// What a group computes of them, each rank its own lanes.
inline Result<at::Tensor> reduced(Collective& collective, const LaneShares& shares, std::int64_t elements) {
  const LaneRange range = lanes_of(collective.rank(), shares);
  const int lanes = std::accumulate(shares.begin(), shares.end(), 0);
  LaneAccumulator accumulator(range, lanes, elements, at::TensorOptions(at::kFloat));
  TreeReducer reducer(collective, shares, elements, at::TensorOptions(at::kFloat));
  at::Tensor result = at::full({elements}, -7, at::kFloat);
  for (int step = 0; step < 2; ++step) {  // The second step finds used buffers.
    accumulator.reset();
    for (int lane = range.begin; lane < range.end; ++lane) {
      accumulator.next_lane().add_(lane_values(lane, elements));
      accumulator.finish_lane();
    }
    PLUMBLINE_TRY(reducer.reduce(accumulator.partials(), result));
  }
  return result;
}
inline Result<at::Tensor> reduced(Collective& collective, int lanes, std::int64_t elements) {
  return reduced(collective, even_shares(collective.size(), lanes), elements);
}

}  // namespace plumbline
