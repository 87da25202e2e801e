// Running the coordinator of one run from its start (or newest checkpoint) to its end.
//
// serve_run opens the log itself: logs/coordinator.log and the standard error stream. A caller calls init_log neither
// before nor after. SIGINT, SIGTERM and SIGUSR1 (a batch system's warning) ask for a stop; a second SIGINT or SIGTERM
// does not wait. Call both functions on the thread that lives as long as the process: launched workers end with it.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/journal/journal.hpp"

namespace plumbline {

struct RunOutcome {
  Step step;
  std::string weights_sha256;
};

/// Make the run directory (config.yaml, secret, logs/, journal) for a new run: whole, or on an error not at all. Checks
/// first what can be known before training: the dataset, norms, start model, compared runs, launcher and port. Refuses
/// a directory that holds a run, or anything else. In config.yaml `data`, `model.init` and `compare` become absolute.
Status create_run(const RunLayout& layout, const RunConfig& config);

/// Serve, launch, lease, commit, aggregate and report until the run is done. kStopped when stopped by request
/// (resumable), kRun when it failed. `workers` overrides the configuration's count for this start. A finished run's
/// outcome is returned at once, unless `config` has more steps than it was trained for.
/// `accepted` is called under the journal's lock once all that can be checked before workers start is found good, the
/// checkpoint that the run goes on from too; on its error nothing is served.
/// `lost`: what becomes of a coordinator that holds the run and does not answer. One that answers is never replaced.
using Accepted = std::function<Status(Journal&)>;
enum class LostCoordinator {
  kRefuse,   ///< a usage error
  kReplace,  ///< the run is taken over from it (Journal::take_over)
};
Result<RunOutcome> serve_run(const RunLayout& layout, const RunConfig& config, std::optional<int> workers,
                             const Accepted& accepted = {}, LostCoordinator lost = LostCoordinator::kRefuse);

}  // namespace plumbline
