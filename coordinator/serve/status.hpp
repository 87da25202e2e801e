// What `plumbline status` answers: one JSON object with the same keys whether a coordinator serves the run or not.
//   {"run", "name", "state", "generation", "step", "steps", "epoch", "loss", "norms": {NAME: {"loss", …}},
//    "heldout": {"step", "norms"}, "tokens_per_second", "eta_seconds",
//    "workers": [{"rank", "host", "pid", "phase", "step", "lanes": [first, behind the last],
//                 "seconds_since_heartbeat"}], "num_workers", "num_hosts", "phases": {PHASE: workers},
//    "last_checkpoint": {"step", "weights_sha256"}, "restarts", "uptime_seconds"}
// Of a group of more than kMostListed workers, "workers" has those that were heard from longest ago, unless all are
// asked for; the counts are of all. A value that is not known is null. `state` of a run that nobody serves: created,
// stopped, finished, failed, interrupted; and of one whose coordinator cannot be asked (it is on another host):
// running.
#pragma once
#include <string>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/data/plan.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/membership/run_state.hpp"
#include "coordinator/serve/progress.hpp"

namespace plumbline {

struct ServedRun {
  const RunLayout& layout;
  const RunConfig& config;
  const RunState& state;
  const Progress& progress;
  SteadyTime started, now;
};
inline constexpr std::size_t kMostListed = 256;  ///< workers; a frame and a screen hold that many, and a glance too
inline constexpr std::size_t kListedOfMore = 16;

Json live_status(const ServedRun& run);

/// One entry of "workers".
struct WorkerSeen {
  int rank = 0, number = 0;
  std::string host, phase, waits_in;
  std::int64_t pid = 0, step = 0;
  LaneRange lanes;
  double lane_seconds = 0;  ///< 0: not known yet
  bool slow = false;        ///< it takes much longer for a lane than the others
  double silent_seconds = 0;
};
/// All of a group. The list of thousands takes long to write and is long: copied here, written by workers_json() on
/// whatever thread has the time.
std::vector<WorkerSeen> workers_of(const ServedRun& run);
Json workers_json(const std::vector<WorkerSeen>& workers);

/// From the directory alone: journal and metrics. A data error when it holds no run.
Result<Json> recorded_status(const RunLayout& layout);

/// "10000 workers on 1250 hosts: 9998 training, 2 joining" where not all are listed; otherwise empty.
std::string crowd_text(const Json& status);
/// A few aligned lines for a person, each ended by a newline.
std::string status_text(const Json& status);

}  // namespace plumbline
