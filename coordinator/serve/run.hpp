// Running the coordinator of one run from its start (or newest checkpoint) to its end.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {
struct RunOutcome { Step step; std::string weights_sha256; };
/// Make the run directory (config.yaml, secret, logs/, journal) for a new run. Refuses a directory that holds a run.
Status create_run(const RunLayout& layout, const RunConfig& config);
/// Serve, launch, lease, commit, aggregate and report until the run is done. kStopped when stopped by request
/// (resumable), kRun when it failed. `workers` overrides the configuration's count for this start.
Result<RunOutcome> serve_run(const RunLayout& layout, const RunConfig& config, std::optional<int> workers);
}  // namespace plumbline
