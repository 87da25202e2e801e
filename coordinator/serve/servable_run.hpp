// From a run directory to a run that a coordinator may serve: every check that needs no worker, and what the journal
// says.
#pragma once
#include <memory>
#include <optional>

#include "coordinator/serve/coordinator.hpp"

namespace plumbline {

/// Locks the journal; a second coordinator is a usage error that names the first, unless that is `lost` and to be
/// replaced. Errors: kData for a directory without
/// a run, or another dataset than the run's; kUsage for settings that the run cannot go on with. `launcher` is
/// make_launcher's, or a test's. Whether the checkpoint is whole is settle_checkpoint's question.
Result<ServableRun> open_run(const RunLayout& layout, const RunConfig& config, int workers,
                             std::unique_ptr<Launcher> launcher, LostCoordinator lost = LostCoordinator::kRefuse);

/// Makes the newest committed checkpoint that verifies the one that the run goes on from (fall_back.hpp); the journal
/// and the log say which were set aside. A data error when none verifies.
Status settle_checkpoint(ServableRun& run);

/// What a finished run came to, when nothing is left to do for `config`.
std::optional<RunOutcome> finished_outcome(const ServableRun& run);

}  // namespace plumbline
