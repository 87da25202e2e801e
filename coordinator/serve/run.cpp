#include "coordinator/serve/run.hpp"

#include <spdlog/spdlog.h>

#include "common/core/log.hpp"
#include "coordinator/serve/listener.hpp"
#include "coordinator/serve/servable_run.hpp"

namespace plumbline {
namespace {

Result<RunOutcome> open_and_serve(const RunLayout& layout, const RunConfig& config, int workers,
                                  const Accepted& accepted) {
  PLUMBLINE_ASSIGN(auto launcher, make_launcher(config, workers, layout));
  PLUMBLINE_ASSIGN(ServableRun run, open_run(layout, config, workers, std::move(launcher)));
  std::error_code ec;
  std::filesystem::create_directories(layout.logs(), ec);
  PLUMBLINE_TRY(init_log({.level = "info", .file = layout.coordinator_log()}));
  const auto outcome = finished_outcome(run);
  if (!outcome) PLUMBLINE_TRY(settle_checkpoint(run));
  PLUMBLINE_TRY(check_listener(config.control));
  if (accepted) PLUMBLINE_TRY(accepted(run.journal));
  // Who began under another configuration might go on to other weights.
  if (run.journal.entries().back().event == "configuration_changed") run.facts.orphans = 0;
  if (outcome) {
    spdlog::info(
        "the run has finished already, at step {}; set train.steps higher to go on (and evaluate.patience to 0 where "
        "it ended early)",
        outcome->step.value());
    return *outcome;
  }
  Coordinator coordinator(std::move(run));
  return coordinator.serve();
}

/// What the machine or the run's fate did, not what was asked for: a full disk, dead workers. Says how to go on.
Error with_way_on(Error error, const RunLayout& layout) {
  const std::string resume = "plumbline resume " + layout.root().string();
  const bool may_go_on = error.code == ErrorCode::kRun || error.code == ErrorCode::kEnvironment;
  if (!may_go_on || error.hint.find(resume) != std::string::npos) return error;
  error.hint += (error.hint.empty() ? "The run can be resumed with: " : " The run can be resumed with: ") + resume;
  return error;
}

}  // namespace

Result<RunOutcome> serve_run(const RunLayout& layout, const RunConfig& config, std::optional<int> workers,
                             const Accepted& accepted) {
  try {
    Result<RunOutcome> outcome = open_and_serve(layout, config, workers.value_or(config.workers.count), accepted);
    if (outcome.has_error()) return with_way_on(std::move(outcome).error(), layout);
    return outcome;
  } catch (const std::exception& e) {  // Out of memory, a library's: the group is ended by now.
    return with_way_on(run_error(std::string("the coordinator failed: ") + e.what(), layout.root().string()), layout);
  }
}

}  // namespace plumbline
