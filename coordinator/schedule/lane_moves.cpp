#include "coordinator/schedule/lane_moves.hpp"

#include <algorithm>

namespace plumbline {

namespace {

constexpr double kWorthwhile = 0.2, kNoticeable = 0.1, kLeastSeconds = 0.02;

/// The unknown filled in; empty when nothing is known.
LanePace completed(LanePace pace) {
  LanePace known;
  for (const double seconds : pace)
    if (seconds > 0) known.push_back(seconds);
  if (known.empty()) return {};
  std::nth_element(known.begin(), known.begin() + std::ssize(known) / 2, known.end());
  const double median = known[known.size() / 2];
  for (double& seconds : pace)
    if (seconds <= 0) seconds = median;
  return pace;
}

LaneShares fastest(const LanePace& pace, int lanes) {
  LaneShares shares(pace.size(), 1);
  for (int given = static_cast<int>(pace.size()); given < lanes; ++given) {
    std::size_t next = 0;
    const auto done = [&](std::size_t rank) { return (shares[rank] + 1) * pace[rank]; };
    for (std::size_t rank = 1; rank < pace.size(); ++rank)
      if (done(rank) < done(next)) next = rank;
    ++shares[next];
  }
  return shares;
}

}  // namespace

double slowest_rank(const LaneShares& shares, const LanePace& pace) {
  double slowest = 0;
  for (std::size_t rank = 0; rank < pace.size(); ++rank) slowest = std::max(slowest, shares.at(rank) * pace[rank]);
  return slowest;
}

LaneShares shares_for(const LanePace& pace, int lanes) {
  const LaneShares even = even_shares(static_cast<int>(pace.size()), lanes);
  const LanePace known = completed(pace);
  if (known.empty()) return even;
  LaneShares moved = fastest(known, lanes);
  return slowest_rank(moved, known) < (1 - kNoticeable) * slowest_rank(even, known) ? moved : even;
}

bool is_worth_moving(const LaneShares& present, const LanePace& pace, int lanes) {
  const LanePace known = completed(pace);
  if (known.empty()) return false;
  const double now = slowest_rank(present, known), then = slowest_rank(shares_for(pace, lanes), known);
  return now - then > kWorthwhile * now && now - then > kLeastSeconds;
}

}  // namespace plumbline
