#include "worker/stages.hpp"

#include <algorithm>
#include <utility>

#include "common/config/adapter_config.hpp"
#include "common/core/clock.hpp"
#include "common/data/used_sides.hpp"
#include "common/record/evaluation.hpp"
#include "common/record/snapshot.hpp"
#include "worker/checkpoint/checkpoint.hpp"
#include "worker/log.hpp"
#include "worker/metrics.hpp"
#include "worker/share.hpp"
#include "worker/snapshot/encode.hpp"
#include "worker/state_copy.hpp"

namespace plumbline {

namespace {

/// That it is there already is fine.
Status make_folder_of(const std::filesystem::path& file) {
  std::error_code ec;
  std::filesystem::create_directories(file.parent_path(), ec);
  if (!ec) return {};
  const std::string reason = ec == std::errc::no_space_on_device ? "the disk is full" : ec.message();
  return run_error("the folder cannot be made: " + reason, file.parent_path().string());
}

}  // namespace

Status Stages::begin(const Assignment& assignment, Collective& collective) {
  const auto& shares = assignment.shares;
  if (!shares.empty() && !is_whole(shares, assignment.world, config().train.lanes))
    return run_error("the assignment's shares are not the run's " + std::to_string(config().train.lanes) + " lanes",
                     "control plane");
  assignment_ = assignment;
  collective_ = &collective;
  checkpointed_ = assignment.checkpointed;
  measured_ = assignment.measured;
  pictured_ = assignment.pictured;
  return {};
}

/// None of a rank that is alone: it prepares to join others.
LaneShares Stages::shares() const { return world() == assignment_.world ? assignment_.shares : LaneShares(); }

Ready Stages::holding() const {
  if (!holds_state_) return {};
  return {step_, state_digest(trainer_->model().trained(), trainer_->optimizer())};
}

/// Held-out loss before a checkpoint and a snapshot after it; what is recorded already is not done again.
Status Stages::do_what_is_due() {
  PLUMBLINE_TRY(look_after_checkpoint());
  if (step_ == 0 || is_due(config().evaluate.every)) PLUMBLINE_TRY(measure_held_out());
  if (step_ > 0 && (is_due(config().checkpoint.every) || step_ == assignment_.make_up)) {
    say_when_training_waits();
    PLUMBLINE_TRY(save_checkpoint());
  }
  if (step_ > 0 && is_due(config().snapshot.every)) PLUMBLINE_TRY(take_snapshot());
  return {};
}

/// One rank compares the shards' hashes; the others trust it and look at sizes only.
Status Stages::open_dataset(Verify verify) {
  const auto open = [&]() -> Status {
    if (dataset_) return {};
    PLUMBLINE_ASSIGN(Dataset dataset, Dataset::open(config().data, verify));
    PLUMBLINE_ASSIGN(norms_, norm_objectives(config(), dataset.info()));
    for (const Norm& norm : dataset.info().norms) norm_names_.push_back(norm.name);
    dataset_ = std::move(dataset);
    return {};
  };
  PLUMBLINE_TRY(agree(*collective_, open()));
  log_info("dataset " + config().data + ": " + std::to_string(dataset_->train().size()) + " training and " +
           std::to_string(dataset_->held_out().size()) + " held-out examples, " + std::to_string(norms_.size()) +
           (norms_.size() == 1 ? " norm" : " norms"));
  return {};
}

/// The model that the run starts from: random weights of the seed, or a checkpoint's.
Status Stages::build_start_model() {
  const auto build = [&]() -> Status {
    holds_state_ = false;
    trainer_.reset();
    if (config().model.init == "random") {
      start_model_ = std::make_unique<T5>(config().model, context_.device, precision_of(config().train));
      start_model_->initialize(config().seed);
    } else {
      PLUMBLINE_ASSIGN(start_model_, load_model(config().model.init, context_.device, precision_of(config().train)));
    }
    start_model_->set_activations(activations_of(config().train));
    if (start_model_->config().vocab_size < dataset_->info().vocab_size)
      return usage_error("the model's vocabulary of " + std::to_string(start_model_->config().vocab_size) +
                             " is smaller than the dataset's of " + std::to_string(dataset_->info().vocab_size),
                         "model.vocab_size", "Set it to the dataset's, or start from another model.");
    return {};
  };
  PLUMBLINE_TRY(agree(*collective_, build()));
  log_info("start model: " + config().model.init + ", " + std::to_string(start_model_->parameters().flat_size()) +
           " parameters");
  return {};
}

/// Some objectives compare with the start model: its log-probs are computed once and kept beside the dataset.
Status Stages::prepare_references() {
  if (std::none_of(norms_.begin(), norms_.end(),
                   [](const NormObjective& norm) { return needs_reference(norm.objective); }))
    return {};
  enter("reference");
  PLUMBLINE_ASSIGN(const Plan plan, Plan::make(config().train, config().seed, dataset_->train(),
                                               objectives_of(config(), dataset_->info())));
  ReferenceWork work;
  work.dataset = &*dataset_;
  for (const NormObjective& norm : norms_) work.objectives.push_back(norm.objective);
  work.train_rows = plan.rows_through(config().train.steps);
  work.held_out_rows = scored_rows(held_out());
  work.max_source_tokens = config().train.max_source_tokens;
  work.max_output_tokens = config().train.max_output_tokens;
  work.rows_together = context_.device.is_cpu() ? 1 : config().evaluate.batch_rows;
  work.fingerprint = context_.fingerprint;
  work.folders = {dataset_->folder() / "reference", context_.layout.reference()};
  work.tell = log_info;
  PLUMBLINE_ASSIGN(references_, plumbline::prepare_references(*start_model_, work, *collective_));
  return {};
}

/// With LoRA the start model stays as it is, and is what its log-probs were computed with; adapters beside it are
/// trained.
Status Stages::add_adapter() {
  const LoraConfig& lora = config().lora;
  if (lora.rank == 0) return {};
  base_sha256_ = start_model_->parameters().sha256();
  const auto add = [&]() -> Status {
    PLUMBLINE_TRY(check_targets(lora, start_model_->config()));
    start_model_->add_adapter(lora);
    if (lora.init != "random") return load_adapter(*start_model_->adapter(), lora.init);
    start_model_->adapter()->initialize(config().seed);
    return {};
  };
  PLUMBLINE_TRY(agree(*collective_, add()));
  log_info("adapters of rank " + std::to_string(lora.rank) + ": " +
           std::to_string(start_model_->trained().flat_size()) + " trained parameters");
  return {};
}

/// Step 0 of every evaluation, once a run: what training has to be measured against.
Status Stages::evaluate_start_model() {
  PLUMBLINE_ASSIGN(const bool is_there, exists(context_.layout.evaluation_rows(Step(0))));
  if (is_there) return {};
  return evaluate(*start_model_, 0);
}

/// Takes up training where the coordinator says: at the start model, or at a committed checkpoint.
Status Stages::take_up() {
  const auto folder = context_.layout.root() / assignment_.resume_from;
  const auto take_up = [&]() -> Status {
    std::int64_t step = 0;
    if (resumes()) {
      PLUMBLINE_ASSIGN(const CheckpointState saved, read_checkpoint_state(folder));
      PLUMBLINE_TRY(check_resumable(saved, state(), folder));
      if (rank() == 0) PLUMBLINE_TRY(verify_checkpoint(folder));
      PLUMBLINE_TRY(load_trained(folder, *start_model_));
      step = saved.step.value();
    }
    if (step != assignment_.start_step)
      return run_error("the coordinator starts at step " + std::to_string(assignment_.start_step) +
                           ", the checkpoint is of step " + std::to_string(step),
                       folder.string());
    PLUMBLINE_TRY(make_trainer());
    if (resumes()) PLUMBLINE_TRY(load_optimizer(folder, trainer_->optimizer()));
    step_ = step;
    return {};
  };
  PLUMBLINE_TRY(agree(*collective_, take_up()));
  // Not before all are here: where rank 0 was lost while it wrote the start model's evaluation, all must begin anew.
  holds_state_ = true;
  PLUMBLINE_TRY(make_room_for_checkpoints());
  if (resumes()) log_info("resumed from " + assignment_.resume_from + " at step " + std::to_string(step_));
  return {};
}

Status Stages::make_trainer() {
  PLUMBLINE_ASSIGN(trainer_, Trainer::make(config(), *dataset_, references_ ? &references_->train : nullptr,
                                           std::move(start_model_), *collective_, shares()));
  return {};
}

Status Stages::prepare_to_join() {
  const auto alone = make_self_collective();
  collective_ = alone.get();
  PLUMBLINE_TRY(open_dataset(Verify::kSizes));
  PLUMBLINE_TRY(build_start_model());
  PLUMBLINE_TRY(prepare_references());
  PLUMBLINE_TRY(add_adapter());
  return make_trainer();
}

/// An elastic group goes on without those who are gone, or with new ones: whoever does not hold the source's state
/// copies it.
Status Stages::join_others() {
  enter("joining");
  Collective& group = *collective_;
  if (trainer_ == nullptr) PLUMBLINE_TRY(prepare_to_join());
  collective_ = &group;
  trainer_ = Trainer::regroup(std::move(trainer_), group, shares());
  const Ready mine = holding();
  PLUMBLINE_ASSIGN(const auto all, group.all_gather_bytes(std::to_string(mine.step) + " " + mine.weights));
  const std::string& wanted = all[static_cast<std::size_t>(assignment_.source)];
  if (std::any_of(all.begin(), all.end(), [&](const std::string& held) { return held != wanted; })) {
    holds_state_ = holds_state_ && all[static_cast<std::size_t>(rank())] == wanted;
    PLUMBLINE_TRY(copy_state(group, assignment_.source, trainer_->model().trained(), trainer_->optimizer()));
  }
  step_ = assignment_.start_step;
  holds_state_ = true;
  PLUMBLINE_TRY(make_room_for_checkpoints());
  log_info("goes on at step " + std::to_string(step_) + " as rank " + std::to_string(rank()) + " of " +
           std::to_string(world()) +
           (mine.step == step_ ? "" : ", with a copy of rank " + std::to_string(assignment_.source) + "'s state"));
  return {};
}

/// The newest lease, waited for when the steps it allows are taken.
Result<Lease> Stages::next_lease() {
  enter("training");
  PLUMBLINE_ASSIGN(const Lease lease, context_.session.lease_beyond(step_));
  const LaneRange expected = trainer_->lanes();
  if (lease.lane_begin != expected.begin || lease.lane_end != expected.end)
    return run_error("the lease is for lanes " + std::to_string(lease.lane_begin) + " to " +
                         std::to_string(lease.lane_end) + ", rank " + std::to_string(rank()) + " of " +
                         std::to_string(world()) + " holds " + std::to_string(expected.begin) + " to " +
                         std::to_string(expected.end),
                     "lease");
  return lease;
}

/// Batches, loss, gradients, reduction over lanes, clipping, the optimizer: trainer.cpp.
Status Stages::take_step() {
  PLUMBLINE_ASSIGN(const StepReport report, trainer_->step(step_));
  step_ = report.step;
  const LaneRange mine = trainer_->lanes();
  if (mine.end > mine.begin)
    context_.session.took((report.phases.data + report.phases.forward + report.phases.backward) /
                          (mine.end - mine.begin));
  enter("training");
  log_info("step " + std::to_string(step_) + " loss " + fixed(report.loss, 4) + " grad_norm " +
           fixed(report.gradient_norm, 3) + " " + fixed(report.tokens_per_second(), 0) + " tokens/s");
  Json metrics = step_metrics(report, norm_names_, norms_);
  // Between the step before and this one, so in neither's seconds.
  metrics["phase_seconds"]["checkpoint"] = std::exchange(stood_still_, 0);
  return context_.session.report({step_, std::move(metrics)}, rank());
}

Status Stages::measure_held_out() {
  if (measured_ >= step_ || dataset_->held_out().size() == 0) return {};
  enter("evaluation");
  PLUMBLINE_ASSIGN(Json norms, held_out_metrics(model(), held_out(), *collective_));
  PLUMBLINE_ASSIGN(const Json judged, judged_metrics(model(), held_out(), *collective_));
  norms.merge_patch(judged);
  for (const auto& [name, numbers] : norms.items())
    log_info("step " + std::to_string(step_) + " held-out " + name + " loss " +
             fixed(numbers.at("loss").get<double>(), 4) +
             (numbers.contains("undesirable_rate")
                  ? " undesirable rate " + fixed(numbers.at("undesirable_rate").get<double>(), 4)
                  : ""));
  measured_ = step_;
  return context_.session.report(
      {step_, Json{{"kind", "heldout"}, {"step", step_}, {"time", utc_now()}, {"norms", std::move(norms)}}}, rank());
}

Status Stages::evaluate(const T5& model, std::int64_t step) {
  enter("evaluation");
  PLUMBLINE_ASSIGN(const auto rows, evaluate_rows(model, held_out(), *collective_));
  log_info("evaluated " + std::to_string(rows.size()) + " held-out examples at step " + std::to_string(step));
  if (rank() != 0) return {};
  const auto file = context_.layout.evaluation_rows(Step(step));
  PLUMBLINE_TRY(make_folder_of(file));
  PLUMBLINE_TRY(write_evaluation(file, rows));
  return announce("evaluation", step, file);
}

Status Stages::take_snapshot() {
  if (pictured_ >= step_) return {};
  enter("snapshot");
  const ProbeSet probe{&dataset_->held_out(),
                       probe_rows(dataset_->held_out(), norms_.size(), config().snapshot.examples, config().seed),
                       config().evaluate.batch_rows, config().train.max_source_tokens};
  const Snapshot part = encode_probe_part(model(), probe, Step(step_), rank(), world(), context_.device);
  const auto file = context_.layout.snapshot_part(Step(step_), rank());
  PLUMBLINE_TRY(make_folder_of(file));
  PLUMBLINE_TRY(write_snapshot(file, part));
  pictured_ = step_;
  return announce("snapshot_part", step_, file);
}

/// The last lease is used up: the run is stopped here, or trained to its end.
Status Stages::finish(const Lease& lease) {
  PLUMBLINE_TRY(save_checkpoint());
  PLUMBLINE_TRY(await_checkpoint());
  if (!lease.stop) {
    PLUMBLINE_TRY(measure_held_out());
    PLUMBLINE_TRY(evaluate(model(), step_));
    PLUMBLINE_TRY(take_snapshot());
  }
  enter("finished");
  log_info((lease.stop ? "stopped by request at step " : "finished at step ") + std::to_string(step_));
  return context_.session.send(Finished{step_});
}

Status Stages::announce(const std::string& kind, std::int64_t step, const std::filesystem::path& file) {
  return context_.session.send(Artifact{kind, step, file.lexically_relative(context_.layout.root()).string()});
}

Result<bool> Stages::exists(const std::filesystem::path& file) {
  std::error_code ec;
  PLUMBLINE_ASSIGN(const auto answers, collective_->all_gather_bytes(std::filesystem::exists(file, ec) ? "yes" : "no"));
  return answers.front() == "yes";
}

HeldOut Stages::held_out() const {
  return {&config(), &*dataset_, &dataset_->tokenizer(), norms_, references_ ? &references_->held_out : nullptr};
}

CheckpointState Stages::state() const {
  CheckpointState state;
  state.step = Step(step_);
  state.seed = config().seed;
  state.dataset_hash = dataset_->content_hash();
  state.tokenizer = dataset_->info().tokenizer;
  state.fingerprint = context_.fingerprint;
  state.base_sha256 = base_sha256_;
  return state;
}

}  // namespace plumbline
