#include "coordinator/schedule/lease_window.hpp"

#include <algorithm>
#include <cmath>

#include "common/data/plan.hpp"

namespace plumbline {

namespace {
constexpr double kSmoothing = 0.3;  ///< weight of the newest step's duration
}

Grant LeaseWindow::open() { return grant(std::min({policy_.steps, limit_, start_ + 1})); }

std::optional<Grant> LeaseWindow::advance(std::int64_t step, double seconds) {
  if (step <= newest_) return std::nullopt;
  newest_ = step;
  if (seconds > 0 && std::isfinite(seconds))
    step_seconds_ = step_seconds_ == 0 ? seconds : (1 - kSmoothing) * step_seconds_ + kSmoothing * seconds;
  return extend();
}

std::optional<Grant> LeaseWindow::extend() {
  if (last_) return std::nullopt;
  const std::int64_t window = length();
  const std::int64_t target = std::min({policy_.steps, limit_, newest_ + window});
  if (target <= end_ || 2 * (end_ - newest_) > window) return std::nullopt;
  return grant(target);
}

std::optional<Grant> LeaseWindow::limit(std::int64_t step) {
  limit_ = grants_ == 0 ? step : std::max(limit_, step);
  return grants_ == 0 ? std::nullopt : extend();
}

std::optional<Grant> LeaseWindow::finish() {
  if (last_) return std::nullopt;
  last_ = true;
  return grant(end_);
}

std::optional<Grant> LeaseWindow::stop() {
  if (last_) return std::nullopt;
  stop_ = last_ = true;
  return grant(end_);
}

std::optional<Grant> LeaseWindow::regroup() {
  if (last_) return std::nullopt;
  regroup_ = last_ = true;
  return grant(end_);
}

std::int64_t LeaseWindow::length() const {
  if (step_seconds_ == 0) return policy_.fewest;
  const double steps = std::min(policy_.seconds / step_seconds_, static_cast<double>(policy_.most));
  return std::max(policy_.fewest, static_cast<std::int64_t>(steps));
}

Grant LeaseWindow::grant(std::int64_t end) {
  end_ = std::max(end_, end);
  last_ = last_ || end_ >= policy_.steps;
  return {LeaseId(++grants_), start_, end_, last_, stop_, regroup_};
}

Lease lease_of(const Grant& grant, LaneRange lanes) {
  Lease lease;
  lease.id = grant.id;
  lease.first_step = grant.first_step;
  lease.end_step = grant.end_step;
  lease.lane_begin = lanes.begin;
  lease.lane_end = lanes.end;
  lease.last = grant.last;
  lease.stop = grant.stop;
  lease.regroup = grant.regroup;
  return lease;
}

}  // namespace plumbline
