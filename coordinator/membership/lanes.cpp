// Who computes which lanes. A rank that is slower than the others gets fewer of them in the next generation; when that
// is worth it, a generation is begun for it.
#include <fmt/format.h>

#include <algorithm>

#include "coordinator/membership/transition.hpp"
#include "coordinator/schedule/lane_moves.hpp"

namespace plumbline {

namespace {

constexpr double kSmoothing = 0.2;
/// What a move needs to go by, and what it needs to be of use to.
constexpr int kTimings = 4;
constexpr std::int64_t kStepsBefore = 30, kStepsAfter = 50, kLookEvery = 8;

}  // namespace

void Transition::time_lanes(Member& member, const Heartbeat& heartbeat) {
  if (heartbeat.lane_seconds <= 0 || heartbeat.step <= member.timed_step) return;
  member.lane_seconds = member.lane_seconds == 0
                            ? heartbeat.lane_seconds
                            : (1 - kSmoothing) * member.lane_seconds + kSmoothing * heartbeat.lane_seconds;
  member.timed_step = heartbeat.step;
  ++member.timings;
}

std::vector<double> Transition::lane_pace() const {
  std::vector<double> pace;
  for (const auto& [rank, member] : state_.members) pace.push_back(member.lane_seconds);
  return pace;
}

/// For the generation that begins. A static group keeps even shares: it cannot be given others.
void Transition::share_lanes() {
  const LaneShares even = even_shares(state_.world, facts_.lanes);
  state_.shares = facts_.elastic ? shares_for(lane_pace(), facts_.lanes) : even;
  for (auto& [rank, member] : state_.members) member.timings = 0, member.timed_step = 0;
  if (state_.shares != even) note(fmt::format("lanes by rank: {}", fmt::join(state_.shares, ", ")));
}

void Transition::move_lanes_when_worthwhile() {
  if (!facts_.elastic || state_.phase != GroupPhase::kTraining || state_.stop_requested) return;
  const LeaseWindow& leases = state_.leases;
  if (leases.newest() % kLookEvery != 0 || leases.newest() - leases.start() < kStepsBefore) return;
  if (facts_.lease.steps - leases.newest() < kStepsAfter) return;
  const bool all_timed = std::all_of(state_.members.begin(), state_.members.end(),
                                     [](const auto& m) { return m.second.timings >= kTimings; });
  const std::vector<double> pace = lane_pace();
  if (!all_timed || !is_worth_moving(state_.shares, pace, facts_.lanes)) return;
  const auto grant = state_.leases.regroup();
  if (!grant) return;
  std::vector<std::string> each;
  for (const auto& [rank, member] : state_.members)
    each.push_back(fmt::format("{:.0f} ms on {}", 1000 * member.lane_seconds, member.host));
  note(fmt::format("lanes move from step {} on: a lane takes {}", grant->end_step, fmt::join(each, ", ")));
  grant_all(*grant, "lanes move");
}

}  // namespace plumbline
