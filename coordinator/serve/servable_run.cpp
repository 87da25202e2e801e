#include "coordinator/serve/servable_run.hpp"

#include <spdlog/spdlog.h>

#include <set>

#include "common/record/metrics.hpp"
#include "common/wire/client.hpp"
#include "coordinator/aggregate/compared.hpp"
#include "coordinator/serve/commit.hpp"
#include "coordinator/serve/fall_back.hpp"
#include "coordinator/serve/left_over.hpp"
#include "coordinator/serve/listener.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kAnswer{3'000};  ///< for a coordinator to let a client in

Status check_dataset(const std::vector<JournalEntry>& entries, const Dataset& dataset) {
  for (const JournalEntry& entry : entries) {
    if (entry.event != "run_created" || !entry.data.contains("dataset_hash")) continue;
    if (entry.data.at("dataset_hash") == dataset.content_hash()) continue;
    return data_error("this is another dataset than the run began with (its content hash differs)",
                      (dataset.folder() / "dataset.json").string(),
                      "Bring the run's dataset back, or start a new run with model.init set to a checkpoint.");
  }
  return {};
}

Status check_steps(const RunRecord& record, const RunConfig& config) {
  if (!record.checkpoint || record.checkpoint->step.value() <= config.train.steps) return {};
  return usage_error("the run has trained " + std::to_string(record.checkpoint->step.value()) +
                         " steps already, more than " + std::to_string(config.train.steps),
                     "train.steps", "Set it to at least what is trained.");
}

std::set<Step> committed_steps(const RunRecord& record) {
  std::set<Step> steps;
  for (const CommittedCheckpoint& commit : record.commits) steps.insert(commit.step);
  return steps;
}

EarlyStopPolicy early_stop_of(const RunConfig& config) { return {config.evaluate.every, config.evaluate.patience}; }

RunFacts facts_of(const RunLayout& layout, const RunConfig& config, int workers, const Launcher& launcher) {
  RunFacts facts;
  facts.workers = workers;
  facts.lanes = config.train.lanes;
  facts.lease.steps = config.train.steps;
  facts.early_stop = early_stop_of(config);
  facts.max_restarts = config.workers.max_restarts;
  facts.checkpoint_every = config.checkpoint.every;
  facts.supervised = launcher.restarts();
  facts.elastic = launcher.elastic();
  facts.chooses_hosts = launcher.chooses_hosts();
  facts.min_workers = std::min(config.workers.min, workers);
  facts.spares = facts.elastic ? config.workers.spares : 0;
  facts.launcher = launcher.name();
  facts.resume_command = "plumbline resume " + layout.root().string();
  facts.start_command = launcher.command({.workers = workers, .number = 0, .group = "", .generation = Generation()});
  facts.log_place = (layout.logs() / "launcher.log").string();
  facts.worker_timeout = worker_timeout(config.control, facts.elastic);
  // Who chose how long silence may last has chosen for this too.
  facts.hang_least = config.control.worker_timeout_ms > 0 ? 4 * facts.worker_timeout : facts.hang_least;
  facts.hang_unknown = std::max(facts.hang_unknown, facts.hang_least);
  facts.join_timeout = std::max(facts.join_timeout, facts.worker_timeout);
  return facts;
}

/// Does the coordinator that coordinator.json names let a client in?
bool answers(const RunLayout& layout) {
  Hello hello;
  hello.role = Role::kClient;
  return ControlClient::connect(layout.root(), std::move(hello), kAnswer).has_value();
}

/// Where a file system locks on each host alone the lock is free for us and yet held: whoever answers on another host
/// has the run.
Result<Journal> open_journal(const RunLayout& layout, LostCoordinator lost) {
  const auto address = read_address(layout);
  const bool held = is_held(layout), elsewhere = address.has_value() && address->hostname != host_name();
  if (!held && !elsewhere) return Journal::open(layout);
  if (held && lost == LostCoordinator::kRefuse) return served_already(layout);
  if (answers(layout)) return served_already(layout);
  if (!held) return Journal::open(layout);
  return Journal::take_over(layout);
}

/// Step of the newest line of this kind; -1: there is none.
std::int64_t newest_step(const std::vector<Json>& lines, const std::string& kind) {
  for (auto line = lines.rbegin(); line != lines.rend(); ++line)
    if (line->value("kind", "") == kind) return line->value("step", std::int64_t{-1});
  return -1;
}

void remove_left_over(const RunLayout& layout) {
  for (const fs::path& file : remove_left_over_files(layout))
    spdlog::info("removed {}: a write that was killed left it", file.string());
}

}  // namespace

Result<ServableRun> open_run(const RunLayout& layout, const RunConfig& config, int workers,
                             std::unique_ptr<Launcher> launcher, LostCoordinator lost) {
  std::error_code ec;
  if (!fs::exists(layout.journal(), ec))
    return data_error("this directory holds no run", layout.root().string(),
                      "Start one with: plumbline train CONFIG --run " + layout.root().string());
  PLUMBLINE_ASSIGN(Journal journal, open_journal(layout, lost));
  if (workers < 1 || workers > config.train.lanes)
    return usage_error(
        std::to_string(workers) + " workers cannot share the run's " + std::to_string(config.train.lanes) + " lanes",
        "workers.count", "Use between 1 and train.lanes workers.");
  const RunRecord record = replay(journal.entries());
  PLUMBLINE_TRY(check_steps(record, config));
  PLUMBLINE_TRY(launcher->check());
  PLUMBLINE_TRY(check_descriptors(workers, launcher->elastic(), raise_descriptor_limit()));
  // A worker compares the shards' hashes; the sizes are enough for the coordinator, which reads row counts.
  PLUMBLINE_ASSIGN(Dataset dataset, Dataset::open(config.data, Verify::kSizes));
  PLUMBLINE_TRY(check_dataset(journal.entries(), dataset));
  if (record.outcome != "finished") {
    PLUMBLINE_TRY(check_judges(dataset.info().norms, dataset.folder().string()));
    PLUMBLINE_TRY(check_compared(config, dataset));
  }
  PLUMBLINE_ASSIGN(std::string secret, read_secret(layout));
  PLUMBLINE_ASSIGN(TlsContext tls, TlsContext::make(secret));
  Progress progress;
  DesiredWatch desired;
  std::vector<HeldOutMeasure> measures;
  std::vector<Json> lines;
  if (fs::exists(layout.metrics(), ec)) {
    PLUMBLINE_ASSIGN(lines, read_metrics(layout.metrics()));
    for (const Json& line : lines) {
      progress.add(line);
      desired.add(line);  // what it tells is in the log already
      if (const auto measure = held_out_measure(line, config.evaluate.judged > 0)) add_measure(measures, *measure);
    }
  }
  remove_partial_checkpoints(layout);
  remove_uncommitted_checkpoints(layout, committed_steps(record));
  RunState state;
  state.generation = record.generation;
  state.checkpoint = record.checkpoint;
  state.fingerprint = record.fingerprint;
  state.rates = record.rates;
  state.group = record.group;
  state.pictured = record.pictured;
  state.recorded = std::max<std::int64_t>(newest_step(lines, "train"), 0);
  state.measured = newest_step(lines, "heldout");
  RunFacts facts = facts_of(layout, config, workers, *launcher);
  const int living = static_cast<int>(living_workers(layout.root()).size());
  // Those on other hosts cannot be counted. Where the run was ended by nobody some may live.
  const bool some_may_live = facts.launcher == "srun" && record.outcome.empty() && !record.group.empty();
  if (facts.elastic && !record.group.empty()) facts.orphans = some_may_live ? std::max(living, workers) : living;
  if (living == 0 && !some_may_live) remove_left_over(layout);
  return ServableRun{.layout = layout,
                     .config = config,
                     .journal = std::move(journal),
                     .dataset = std::move(dataset),
                     .launcher = std::move(launcher),
                     .facts = std::move(facts),
                     .state = std::move(state),
                     .secret = std::move(secret),
                     .tls = std::move(tls),
                     .progress = std::move(progress),
                     .desired = std::move(desired),
                     .measures = std::move(measures),
                     .events = EventLog(layout, lines),
                     .clock = system_clock(),
                     .limits = {},
                     .admission = {}};
}

Status settle_checkpoint(ServableRun& run) {
  const std::vector<CommittedCheckpoint> commits = replay(run.journal.entries()).commits;
  if (commits.empty()) return {};
  spdlog::info("verifying the checkpoint of step {}", commits.back().step.value());
  PLUMBLINE_ASSIGN(const UsableCheckpoint usable, fall_back(run.layout, commits));
  const Step instead = usable.checkpoint.step;
  for (const SetAsideCheckpoint& aside : usable.set_aside) {
    PLUMBLINE_TRY(run.journal.append("checkpoint_set_aside", journal_data(aside, instead)));
    spdlog::warn("{}", to_string(aside, instead));
  }
  run.state.checkpoint = usable.checkpoint;
  return {};
}

std::optional<RunOutcome> finished_outcome(const ServableRun& run) {
  const RunRecord record = replay(run.journal.entries());
  std::error_code ec;
  if (record.outcome != "finished" || !record.checkpoint || !fs::exists(run.layout.summary(), ec)) return std::nullopt;
  const bool ended_early = early_end(early_stop_of(run.config), record.rates).has_value();
  if (record.checkpoint->step.value() < run.config.train.steps && !ended_early) return std::nullopt;
  return RunOutcome{record.checkpoint->step, record.checkpoint->weights_sha256};
}

}  // namespace plumbline
