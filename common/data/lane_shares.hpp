// Which rank computes which lanes of a global batch. Any shares give the same weights: gradients are summed along one
// tree over the lanes (gradient/tree_reduce.hpp), whoever holds them.
#pragma once
#include <vector>

#include "common/data/plan.hpp"

namespace plumbline {

/// How many lanes each rank computes: contiguous, in the order of ranks, one or more a rank.
using LaneShares = std::vector<int>;

/// Sizes that differ by at most one; `world` at most `lanes`.
LaneShares even_shares(int world, int lanes);

/// Lanes [begin, end) of `rank`.
LaneRange lanes_of(int rank, const LaneShares& shares);

/// One or more lanes a rank, `lanes` in all.
bool is_whole(const LaneShares& shares, int world, int lanes);

}  // namespace plumbline
