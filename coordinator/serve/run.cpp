#include "coordinator/serve/run.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "common/config/loopback.hpp"
#include "common/core/log.hpp"
#include "coordinator/serve/listener.hpp"
#include "coordinator/serve/servable_run.hpp"

namespace plumbline {
namespace {

/// Keys by which no worker computes or communicates. An address counts among them as long as it is, or is not, another
/// machine's to reach: that decides whether workers encrypt what they say to each other.
constexpr auto kCoordinatorsOwn = std::to_array<std::string_view>(
    {"name", "compare", "checkpoint.keep", "checkpoint.keep_every", "checkpoint.keep_best", "workers.min",
     "workers.spares", "workers.max_restarts", "control.bind", "control.port"});

/// Has the configuration changed in what workers of an earlier coordinator go by?
bool is_another_for_workers(const Journal& journal, const std::string& bound_before, const std::string& bound_now) {
  const JournalEntry& newest = journal.entries().back();
  if (newest.event != "configuration_changed") return false;
  const auto is_own = [](const std::string& key) {
    return std::find(kCoordinatorsOwn.begin(), kCoordinatorsOwn.end(), key) != kCoordinatorsOwn.end();
  };
  if (is_loopback(bound_before) != is_loopback(bound_now)) return true;
  for (const auto& [key, value] : newest.data.items())
    if (!is_own(key)) return true;
  return false;
}

Result<RunOutcome> open_and_serve(const RunLayout& layout, const RunConfig& config, int workers,
                                  const Accepted& accepted, LostCoordinator lost) {
  PLUMBLINE_ASSIGN(auto launcher, make_launcher(config, workers, layout));
  PLUMBLINE_ASSIGN(ServableRun run, open_run(layout, config, workers, std::move(launcher), lost));
  std::error_code ec;
  std::filesystem::create_directories(layout.logs(), ec);
  PLUMBLINE_TRY(init_log({.level = "info", .file = layout.coordinator_log()}));
  if (const JournalEntry& newest = run.journal.entries().back(); newest.event == "run_taken_over")
    spdlog::warn("took the run over from a coordinator that does not answer: {}", to_line(newest.data));
  const auto before = load_run_config(layout.config(), {});
  const std::string bound_before = before.has_value() ? before->control.bind : config.control.bind;
  const auto outcome = finished_outcome(run);
  if (!outcome) PLUMBLINE_TRY(settle_checkpoint(run));
  PLUMBLINE_TRY(check_listener(config.control));
  if (accepted) PLUMBLINE_TRY(accepted(run.journal));
  // Who began under another configuration might go on to other weights.
  if (is_another_for_workers(run.journal, bound_before, config.control.bind)) run.facts.orphans = 0;
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
                             const Accepted& accepted, LostCoordinator lost) {
  try {
    Result<RunOutcome> outcome = open_and_serve(layout, config, workers.value_or(config.workers.count), accepted, lost);
    if (outcome.has_error()) return with_way_on(std::move(outcome).error(), layout);
    return outcome;
  } catch (const std::exception& e) {  // Out of memory, a library's: the group is ended by now.
    return with_way_on(run_error(std::string("the coordinator failed: ") + e.what(), layout.root().string()), layout);
  }
}

}  // namespace plumbline
