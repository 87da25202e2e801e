#include "worker/train_loop.hpp"

<<<<<<< HEAD
#include "worker/stages.hpp"
=======
#include <algorithm>

#include "common/config/adapter_config.hpp"
#include "common/core/clock.hpp"
#include "common/data/used_sides.hpp"
#include "common/record/evaluation.hpp"
#include "common/record/snapshot.hpp"
#include "worker/checkpoint/checkpoint.hpp"
#include "worker/evaluate.hpp"
#include "worker/log.hpp"
#include "worker/metrics.hpp"
#include "worker/reference.hpp"
#include "worker/share.hpp"
#include "worker/snapshot/encode.hpp"
#include "worker/trainer.hpp"
>>>>>>> a9a38e9380a379cb4980a429cb45d560974bcaf3

namespace plumbline {

TrainLoop::TrainLoop(const WorkerContext& context) : stages_(std::make_unique<Stages>(context)) {}
TrainLoop::~TrainLoop() = default;

Result<TrainLoop::Ending> TrainLoop::run(const Assignment& assignment, Collective& collective) {
  Stages& stages = *stages_;
  stages.begin(assignment, collective);
  if (assignment.source >= 0) {
    PLUMBLINE_TRY(stages.join_others());
  } else {
    PLUMBLINE_TRY(stages.open_dataset(assignment.rank == 0 ? Verify::kHashes : Verify::kSizes));
    PLUMBLINE_TRY(stages.build_start_model());
    PLUMBLINE_TRY(stages.prepare_references());
    PLUMBLINE_TRY(stages.add_adapter());
    PLUMBLINE_TRY(stages.evaluate_start_model());
    PLUMBLINE_TRY(stages.take_up());
  }
  for (;;) {
    PLUMBLINE_TRY(stages.do_what_is_due());
    PLUMBLINE_ASSIGN(const Lease lease, stages.next_lease());
    if (stages.step() < lease.end_step) {
      PLUMBLINE_TRY(stages.take_step());
      continue;
    }
<<<<<<< HEAD
    if (lease.regroup) return Ending::kRegroup;
    PLUMBLINE_TRY(stages.finish(lease));
    return Ending::kFinished;
=======
    start_model_->set_activations(activations_of(config().train));
    if (start_model_->config().vocab_size < dataset_->info().vocab_size)
      return usage_error("the model's vocabulary of " + std::to_string(start_model_->config().vocab_size) +
                             " is smaller than the dataset's of " + std::to_string(dataset_->info().vocab_size),
                         "model.vocab_size", "Set it to the dataset's, or start from another model.");
    return {};
  };
  PLUMBLINE_TRY(agree(context_.collective, build()));
  log_info("start model: " + config().model.init + ", " + std::to_string(start_model_->parameters().flat_size()) +
           " parameters");
  return {};
}

/// Some objectives compare with the start model: its log-probs are computed once and kept beside the dataset.
Status Worker::prepare_references() {
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
  PLUMBLINE_ASSIGN(references_, plumbline::prepare_references(*start_model_, work, context_.collective));
  return {};
}

/// With LoRA the start model stays as it is, and is what its log-probs were computed with; adapters beside it are
/// trained.
Status Worker::add_adapter() {
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
  PLUMBLINE_TRY(agree(context_.collective, add()));
  log_info("adapters of rank " + std::to_string(lora.rank) + ": " +
           std::to_string(start_model_->trained().flat_size()) + " trained parameters");
  return {};
}

/// Step 0 of every evaluation, once a run: what training has to be measured against.
Status Worker::evaluate_start_model() {
  PLUMBLINE_ASSIGN(const bool is_there, exists(context_.layout.evaluation_rows(Step(0))));
  if (is_there) return {};
  return evaluate(*start_model_, 0);
}

/// Takes up training where the coordinator says: at the start model, or at a committed checkpoint.
Status Worker::take_up() {
  const Welcome& welcome = context_.session.welcome();
  const RowLogProbs* references = references_ ? &references_->train : nullptr;
  const auto folder = context_.layout.root() / welcome.resume_from;
  const auto take_up = [&]() -> Status {
    if (resumes()) {
      PLUMBLINE_ASSIGN(const CheckpointState saved, read_checkpoint_state(folder));
      PLUMBLINE_TRY(check_resumable(saved, state(), folder));
      if (rank() == 0) PLUMBLINE_TRY(verify_checkpoint(folder));
      PLUMBLINE_TRY(load_trained(folder, *start_model_));
      step_ = saved.step.value();
    }
    if (step_ != welcome.start_step)
      return run_error("the coordinator starts at step " + std::to_string(welcome.start_step) +
                           ", the checkpoint is of step " + std::to_string(step_),
                       folder.string());
    PLUMBLINE_ASSIGN(trainer_,
                     Trainer::make(config(), *dataset_, references, std::move(start_model_), context_.collective));
    if (resumes()) PLUMBLINE_TRY(load_optimizer(folder, trainer_->optimizer()));
    return {};
  };
  PLUMBLINE_TRY(agree(context_.collective, take_up()));
  if (resumes()) {
    checkpointed_ = step_;
    log_info("resumed from " + welcome.resume_from + " at step " + std::to_string(step_));
    return {};
>>>>>>> a9a38e9380a379cb4980a429cb45d560974bcaf3
  }
}

Status TrainLoop::prepare_to_join() { return stages_->prepare_to_join(); }

Ready TrainLoop::holding() const { return stages_->holding(); }

}  // namespace plumbline
