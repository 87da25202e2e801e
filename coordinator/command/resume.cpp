// `plumbline resume RUN`: goes on with a run from its newest committed checkpoint.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "common/core/files.hpp"
#include "coordinator/command/command.hpp"
#include "coordinator/command/options.hpp"
#include "coordinator/journal/journal.hpp"
#include "coordinator/launch/launch.hpp"

namespace plumbline {
namespace {

struct ResumeOptions {
  std::string run, launcher;
  int workers = 0;  ///< 0: the run's own
  bool take_over = false;
  std::vector<std::string> set;
};

/// Keys that may change in the middle of a run. Any other would make its second part another computation than its
/// first.
constexpr auto kChangeable = std::to_array<std::string_view>({"name",
                                                              "compare",
                                                              "train.steps",
                                                              "evaluate.every",
                                                              "evaluate.patience",
                                                              "snapshot.every",
                                                              "train.activations",
                                                              "checkpoint.every",
                                                              "checkpoint.keep",
                                                              "checkpoint.keep_every",
                                                              "checkpoint.keep_best",
                                                              "workers.count",
                                                              "workers.min",
                                                              "workers.spares",
                                                              "workers.launcher",
                                                              "workers.peak_gflops",
                                                              "workers.max_restarts",
                                                              "control.bind",
                                                              "control.port",
                                                              "control.heartbeat_ms",
                                                              "control.worker_timeout_ms",
                                                              "control.orphan_ms"});

Status check_changeable(const std::string& key) {
  if (std::find(kChangeable.begin(), kChangeable.end(), key) != kChangeable.end()) return {};
  const bool numeric = key == "workers.threads" || key == "workers.device";
  return usage_error(fmt::format("{} cannot change when a run is resumed: {}", key,
                                 numeric ? "it decides how numbers round, and a run's weights are exact"
                                         : "the steps already taken were computed with the old value"),
                     "--set " + key,
                     fmt::format("Keys that can: {}. For anything else start a new run, with model.init set to a "
                                 "checkpoint of this one to go on from its weights.",
                                 fmt::join(kChangeable, ", ")));
}

/// Makes the new settings the run's own, with a line in its journal.
Status store(const RunLayout& layout, const RunConfig& config, const std::vector<Override>& changes, Journal& journal) {
  PLUMBLINE_TRY(write_file_atomically(layout.config(), to_yaml(config)));
  Json data = Json::object();
  for (const Override& change : changes) data[change.key] = change.value;
  return journal.append("configuration_changed", std::move(data));
}

Status check_run(const RunLayout& layout) {
  std::error_code ignored;
  if (std::filesystem::exists(layout.journal(), ignored)) return {};
  return data_error(
      "there is no run here", layout.root().string(),
      fmt::format("A run is a directory that `plumbline train CONFIG --run {}` makes.", layout.root().string()));
}

Status run_resume(const ResumeOptions& options) {
  const RunLayout layout(options.run);
  PLUMBLINE_TRY(check_run(layout));
  PLUMBLINE_ASSIGN(const auto changes, parse_overrides(options.set));
  for (const Override& change : changes) PLUMBLINE_TRY(check_changeable(change.key));
  PLUMBLINE_ASSIGN(RunConfig config, load_run_config(layout.config(), changes));
  RunConfig now = config;  // --workers and --launcher hold for this start alone.
  if (!options.launcher.empty()) now.workers.launcher = options.launcher;
  const int workers = options.workers > 0 ? options.workers : config.workers.count;
  Accepted accepted;  // Settings that the run cannot go on with are not stored.
  if (!changes.empty()) accepted = [&](Journal& journal) { return store(layout, config, changes, journal); };
  const LostCoordinator lost = options.take_over ? LostCoordinator::kReplace : LostCoordinator::kRefuse;
  PLUMBLINE_ASSIGN(const RunOutcome outcome, serve_run(layout, now, workers, accepted, lost));
  print_outcome(layout, outcome);
  return {};
}

}  // namespace

void add_resume(CLI::App& app, CommandBody& body) {
  auto* command =
      app.add_subcommand("resume", "Go on with a stopped, failed or killed run from its newest committed checkpoint");
  auto options = std::make_shared<ResumeOptions>();
  command->add_option("RUN", options->run, "Run directory")->required();
  command
      ->add_option("--workers", options->workers,
                   "Workers for this start; any number up to train.lanes, the weights are the same")
      ->check(CLI::Range(1, kMostWorkers));
  command->add_flag("--take-over", options->take_over,
                    "Also when a coordinator holds the run and does not answer: it hangs, or its host is cut off. It "
                    "finds that it has no say any more, and ends, should it come back; one that answers is left alone");
  command->add_option("--launcher", options->launcher, "Who starts the workers, for this start")
      ->check(CLI::IsMember({"auto", "local", "mpirun", "srun", "external"}));
  command
      ->add_option("--set", options->set,
                   "Change a key of the run's configuration for good: --set key=value (repeatable); only keys that "
                   "leave the steps already taken as they are")
      ->take_all();
  command->callback([options, &body] { body = [options] { return run_resume(*options); }; });
}

}  // namespace plumbline
