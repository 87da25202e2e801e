// Early stopping on the held-out undesirable rate (`evaluate.patience`): which steps may be granted before a rate is
// known, and where a run ends because its rate no longer falls. Pure: a function of what was measured, so a run that is
// resumed, or has another number of workers, ends at the same step.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "common/record/metrics.hpp"

namespace plumbline {

struct EarlyStopPolicy {
  std::int64_t every = 0;  ///< steps between measurements
  int patience = 0;        ///< measurements in a row without a new lowest rate that end the run
  [[nodiscard]] bool active() const { return every > 0 && patience > 0; }
};

/// The lowest rate, at its first step; null when nothing is measured.
const MeasuredRate* lowest_rate(const std::vector<MeasuredRate>& rates);

/// Workers that take up training at `start` may train up to here before another rate is known: 0 before the start
/// model's, then the next multiple of `every` after the newest, or after `start`. No limit (the largest number) when
/// the policy is not active. `rates` ascend by step.
std::int64_t furthest_step(const EarlyStopPolicy& policy, const std::vector<MeasuredRate>& rates, std::int64_t start);

/// The step at which patience is at its end: of the first measurement that is the `patience`-th in a row without a new
/// lowest rate. Nothing when it is not, or the policy is not active.
std::optional<std::int64_t> early_end(const EarlyStopPolicy& policy, const std::vector<MeasuredRate>& rates);

}  // namespace plumbline
