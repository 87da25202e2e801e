// How far the workers of one generation may train: a window of steps that moves on with them. Pure; no clock.
//
// Every rank holds its own lanes for the same steps (start, end]. A worker that has used up its lease waits for a
// longer one; one that has used up the *last* lease finishes. Ranks take steps in lockstep, but leases reach them at
// different times, so these hold within a generation:
//   - `end` never falls, so a step that some rank was allowed stays allowed;
//   - the last lease has the largest end ever granted, and nothing follows it. A rank that has it and one that still
//   has
//     an earlier lease therefore agree on every step up to that end, the second waits there for the last lease, and
//     both finish at the same step;
//   - whether the end is a stop is said only in the last lease, so no rank finishes as if trained while another stops.
// Where a decision about later steps waits for something that is measured at a step (early stopping), that step is the
// limit: no lease reaches beyond it until the limit is moved, and a run that is to end there ends there exactly.
// The window is about a second of steps (never fewer than two): long enough that nobody waits, as it is extended when
// half of it is used; short enough that a stop, which lets the granted steps be taken, comes soon.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>

#include "common/core/ids.hpp"
#include "common/data/plan.hpp"
#include "common/wire/message.hpp"

namespace plumbline {

struct LeasePolicy {
  std::int64_t steps = 0;  ///< of the whole run: where the last lease ends
  double seconds = 1.0;    ///< of training that a window is worth
  std::int64_t fewest = 2, most = 256;
};

/// What every rank is granted; the lanes differ by rank (lease_of).
struct Grant {
  LeaseId id;
  std::int64_t first_step = 0, end_step = 0;
  bool last = false, stop = false, regroup = false;
};

class LeaseWindow {
 public:
  LeaseWindow() = default;
  /// For a generation that takes up training at `start` (at most policy.steps).
  LeaseWindow(const LeasePolicy& policy, std::int64_t start) : policy_(policy), start_(start), newest_(start) {}

  /// The first grant: one step, since nothing is known of how long a step takes, or none where all are taken.
  Grant open();
  /// `step` is taken, in `seconds`. A longer grant when half of the window is used. A step that is not new changes
  /// nothing.
  std::optional<Grant> advance(std::int64_t step, double seconds);
  /// No grant reaches beyond `step`, a limit that never falls; before open() it grants nothing. A longer grant where
  /// the window waits for it.
  std::optional<Grant> limit(std::int64_t step);
  /// The run ends where its grants end now: the last grant. None when the last one is granted already.
  std::optional<Grant> finish();
  /// The last grant, for a stop at the end of what is granted; none when the last one is granted already.
  std::optional<Grant> stop();

  /// The generation's last grant, for another generation to go on at the end of what is granted; none when the last one
  /// is granted already.
  std::optional<Grant> regroup();

  [[nodiscard]] std::int64_t start() const { return start_; }
  [[nodiscard]] std::int64_t newest() const { return newest_; }
  [[nodiscard]] std::int64_t end() const { return end_; }
  [[nodiscard]] bool last() const { return last_; }
  [[nodiscard]] bool stops() const { return stop_; }
  /// The last grant is no end of the run.
  [[nodiscard]] bool regroups() const { return regroup_; }

 private:
  [[nodiscard]] std::int64_t length() const;
  std::optional<Grant> extend();
  Grant grant(std::int64_t end);

  LeasePolicy policy_;
  std::int64_t start_ = 0, newest_ = 0, end_ = 0;
  std::int64_t limit_ = std::numeric_limits<std::int64_t>::max();
  double step_seconds_ = 0;   ///< smoothed; 0: unknown
  std::uint64_t grants_ = 0;  ///< 0: not opened
  bool last_ = false, stop_ = false, regroup_ = false;
};

/// The grant as the lease of the rank that computes `lanes`.
Lease lease_of(const Grant& grant, LaneRange lanes);

}  // namespace plumbline
