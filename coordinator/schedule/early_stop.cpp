#include "coordinator/schedule/early_stop.hpp"

#include <algorithm>
#include <limits>

namespace plumbline {

const MeasuredRate* lowest_rate(const std::vector<MeasuredRate>& rates) {
  const auto lowest =
      std::min_element(rates.begin(), rates.end(), [](const auto& a, const auto& b) { return a.rate < b.rate; });
  return lowest == rates.end() ? nullptr : &*lowest;
}

std::int64_t furthest_step(const EarlyStopPolicy& policy, const std::vector<MeasuredRate>& rates, std::int64_t start) {
  if (!policy.active()) return std::numeric_limits<std::int64_t>::max();
  if (rates.empty() && start == 0) return 0;
  const std::int64_t known = rates.empty() ? start : std::max(start, rates.back().step);
  return (known / policy.every + 1) * policy.every;
}

std::optional<std::int64_t> early_end(const EarlyStopPolicy& policy, const std::vector<MeasuredRate>& rates) {
  if (!policy.active() || rates.empty()) return std::nullopt;
  double lowest = rates.front().rate;
  int in_vain = 0;
  for (auto measured = rates.begin() + 1; measured != rates.end(); ++measured) {
    in_vain = measured->rate < lowest ? 0 : in_vain + 1;
    lowest = std::min(lowest, measured->rate);
    if (in_vain >= policy.patience) return measured->step;
  }
  return std::nullopt;
}

}  // namespace plumbline
