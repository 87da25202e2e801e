#include "common/data/lane_shares.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace plumbline {

LaneShares even_shares(int world, int lanes) {
  LaneShares shares;
  for (int rank = 0; rank < world; ++rank) {
    const LaneRange range = lanes_of(rank, world, lanes);
    shares.push_back(range.end - range.begin);
  }
  return shares;
}

LaneRange lanes_of(int rank, const LaneShares& shares) {
  const auto mine = shares.begin() + rank;
  const int begin = std::accumulate(shares.begin(), mine, 0);
  return {begin, begin + *mine};
}

bool is_whole(const LaneShares& shares, int world, int lanes) {
  const bool each = std::all_of(shares.begin(), shares.end(), [&](int share) { return share >= 1 && share <= lanes; });
  return each && static_cast<int>(shares.size()) == world &&
         std::accumulate(shares.begin(), shares.end(), std::int64_t{0}) == lanes;
}

}  // namespace plumbline
