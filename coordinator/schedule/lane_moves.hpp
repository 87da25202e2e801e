// Lanes for workers of unequal speed. A step lasts as long as its slowest rank computes: shares that follow the
// measured seconds a lane make all ranks end together. The weights do not depend on them (common/data/lane_shares.hpp).
#pragma once
#include <vector>

#include "common/data/lane_shares.hpp"

namespace plumbline {

/// Seconds that each rank computes a lane in, by rank; 0: not known, taken for the median of the others.
using LanePace = std::vector<double>;

/// How long the slowest rank computes. Seconds.
double slowest_rank(const LaneShares& shares, const LanePace& pace);

/// The shares with the shortest slowest rank: lane after lane goes to whoever would have it done first. Even shares
/// where nothing is known, or where others would save less than a tenth.
LaneShares shares_for(const LanePace& pace, int lanes);

/// Would moving lanes be worth the interruption: a fifth of a step's computing, and 20 ms of it?
bool is_worth_moving(const LaneShares& present, const LanePace& pace, int lanes);

}  // namespace plumbline
