#include "coordinator/serve/servable_run.hpp"

#include <spdlog/spdlog.h>

#include <set>

#include "common/record/checkpoint_manifest.hpp"
#include "common/record/metrics.hpp"
#include "coordinator/aggregate/compared.hpp"
#include "coordinator/serve/commit.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

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

/// The newest commit is there and is what the journal says; a worker compares the files' hashes before it loads them.
Status check_checkpoint(const RunLayout& layout, const RunRecord& record, const RunConfig& config) {
  if (!record.checkpoint) return {};
  const auto& [step, weights] = *record.checkpoint;
  PLUMBLINE_ASSIGN(const CheckpointManifest manifest, read_manifest(layout.checkpoint(step)));
  if (manifest.step != step || manifest.weights_sha256() != weights)
    return data_error("the checkpoint is not the one that the run's journal names", layout.checkpoint(step).string(),
                      "Restore the run directory from a copy.");
  if (step.value() <= config.train.steps) return {};
  return usage_error("the run has trained " + std::to_string(step.value()) + " steps already, more than " +
                         std::to_string(config.train.steps),
                     "train.steps", "Set it to at least what is trained.");
}

std::set<Step> committed_steps(const std::vector<JournalEntry>& entries) {
  std::set<Step> steps;
  for (const JournalEntry& entry : entries)
    if (const auto step = entry.data.find("step");
        entry.event == "checkpoint_committed" && step != entry.data.end() && step->is_number_integer())
      steps.insert(Step(step->get<std::int64_t>()));
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
  facts.supervised = launcher.restarts();
  facts.launcher = launcher.name();
  facts.resume_command = "plumbline resume " + layout.root().string();
  facts.start_command = launcher.command({workers, "", Generation()});
  facts.log_place = (layout.logs() / "launcher.log").string();
  facts.worker_timeout = std::chrono::milliseconds(config.control.worker_timeout_ms);
  facts.join_timeout = std::max(facts.join_timeout, facts.worker_timeout);
  return facts;
}

}  // namespace

Result<ServableRun> open_run(const RunLayout& layout, const RunConfig& config, int workers,
                             std::unique_ptr<Launcher> launcher) {
  std::error_code ec;
  if (!fs::exists(layout.journal(), ec))
    return data_error("this directory holds no run", layout.root().string(),
                      "Start one with: plumbline train CONFIG --run " + layout.root().string());
  PLUMBLINE_ASSIGN(Journal journal, Journal::open(layout));
  if (workers < 1 || workers > config.train.lanes)
    return usage_error(
        std::to_string(workers) + " workers cannot share the run's " + std::to_string(config.train.lanes) + " lanes",
        "workers.count", "Use between 1 and train.lanes workers.");
  PLUMBLINE_TRY(launcher->check());
  // A worker compares the shards' hashes; the sizes are enough for the coordinator, which reads row counts.
  PLUMBLINE_ASSIGN(Dataset dataset, Dataset::open(config.data, Verify::kSizes));
  PLUMBLINE_TRY(check_dataset(journal.entries(), dataset));
  const RunRecord record = replay(journal.entries());
  PLUMBLINE_TRY(check_checkpoint(layout, record, config));
  if (record.outcome != "finished") {
    PLUMBLINE_TRY(check_judges(dataset.info().norms, dataset.folder().string()));
    PLUMBLINE_TRY(check_compared(config, dataset));
  }
  PLUMBLINE_ASSIGN(std::string secret, read_secret(layout));
  Progress progress;
  DesiredWatch desired;
  if (fs::exists(layout.metrics(), ec)) {
    PLUMBLINE_ASSIGN(const auto lines, read_metrics(layout.metrics()));
    for (const Json& line : lines) {
      progress.add(line);
      desired.add(line);  // what it tells is in the log already
    }
  }
  remove_partial_checkpoints(layout);
  remove_uncommitted_checkpoints(layout, committed_steps(journal.entries()));
  RunState state;
  state.generation = record.generation;
  state.checkpoint = record.checkpoint;
  state.fingerprint = record.fingerprint;
  state.rates = record.rates;
  RunFacts facts = facts_of(layout, config, workers, *launcher);
  return ServableRun{.layout = layout,
                     .config = config,
                     .journal = std::move(journal),
                     .dataset = std::move(dataset),
                     .launcher = std::move(launcher),
                     .facts = std::move(facts),
                     .state = std::move(state),
                     .secret = std::move(secret),
                     .progress = std::move(progress),
                     .desired = std::move(desired),
                     .clock = system_clock(),
                     .limits = {}};
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
