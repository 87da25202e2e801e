// What `plumbline status` answers: one JSON object with the same keys whether a coordinator serves the run or not.
//   {"run", "name", "state", "generation", "step", "steps", "epoch", "loss", "norms": {NAME: {"loss", …}},
//    "heldout": {"step", "norms"}, "tokens_per_second", "eta_seconds",
//    "workers": [{"rank", "host", "pid", "phase", "step", "lanes": [first, behind the last],
//                 "seconds_since_heartbeat"}],
//    "last_checkpoint": {"step", "weights_sha256"}, "restarts", "uptime_seconds"}
// A value that is not known is null. `state` of a run that nobody serves: created, stopped, finished, failed,
// interrupted; and of one whose coordinator cannot be asked (it is on another host): running.
#pragma once
#include "common/config/run_config.hpp"
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
Json live_status(const ServedRun& run);

/// From the directory alone: journal and metrics. A data error when it holds no run.
Result<Json> recorded_status(const RunLayout& layout);

/// A few aligned lines for a person, each ended by a newline.
std::string status_text(const Json& status);

}  // namespace plumbline
