// The stages of a worker's way through a run, which train_loop.cpp strings together. Every stage is gone through by all
// ranks of the group together, unless it says otherwise; a run error with a broken collective leaves weights and
// optimizer as they were. On the thread that computes.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/data/dataset.hpp"
#include "worker/activity.hpp"
#include "worker/checkpoint/checkpoint.hpp"
#include "worker/checkpoint/checkpoint_writer.hpp"
#include "worker/evaluate.hpp"
#include "worker/reference.hpp"
#include "worker/train_loop.hpp"
#include "worker/trainer.hpp"

namespace plumbline {

class Stages {
 public:
  explicit Stages(const WorkerContext& context) : context_(context) {}

  /// From now on the group is `collective`, which outlives the generation.
  Status begin(const Assignment& assignment, Collective& collective);
  /// The generation is over. A checkpoint that is still being written is of no use to another one, and given up.
  void end();
  Status open_dataset(Verify verify);
  Status build_start_model();
  Status prepare_references();
  Status add_adapter();
  Status evaluate_start_model();
  Status take_up();
  /// Of one rank alone.
  Status prepare_to_join();
  Status join_others();
  Status do_what_is_due();
  Status take_step();
  Status measure_held_out();
  /// Copies what is to be saved, once the checkpoint before is committed; it is written while training goes on.
  Status save_checkpoint();
  /// Until the checkpoint that is being written, if there is one, is committed.
  Status await_checkpoint();
  Status evaluate(const T5& model, std::int64_t step);
  Status take_snapshot();
  Status finish(const Lease& lease);

  Result<Lease> next_lease();
  [[nodiscard]] Ready holding() const;
  [[nodiscard]] std::int64_t step() const { return step_; }

 private:
  [[nodiscard]] int rank() const { return collective_->rank(); }
  [[nodiscard]] int world() const { return collective_->size(); }
  [[nodiscard]] const RunConfig& config() const { return context_.config; }
  [[nodiscard]] bool resumes() const { return !assignment_.resume_from.empty(); }
  [[nodiscard]] bool is_due(std::int64_t every) const { return every > 0 && step_ % every == 0; }
  void enter(const std::string& phase) {
    context_.session.at(step_, phase);
    activity().begin_stage(phase, step_);
  }
  Status make_trainer();
  Status make_room_for_checkpoints();
  /// What became of the checkpoint that is being written, without waiting for it.
  Status look_after_checkpoint();
  void say_when_training_waits();
  void checkpoint_is_committed(const std::string& weights_sha256);
  [[nodiscard]] LaneShares shares() const;
  Status announce(const std::string& kind, std::int64_t step, const std::filesystem::path& file);
  /// Does rank 0 see this file? The same answer on every rank.
  Result<bool> exists(const std::filesystem::path& file);
  [[nodiscard]] HeldOut held_out() const;
  [[nodiscard]] CheckpointState state() const;
  [[nodiscard]] CheckpointSource source() const { return {model(), trainer_->optimizer(), dataset_->tokenizer()}; }
  [[nodiscard]] const T5& model() const { return trainer_->model(); }

  WorkerContext context_;
  Assignment assignment_;             ///< of the present generation
  Collective* collective_ = nullptr;  ///< its group
  std::optional<Dataset> dataset_;
  std::vector<std::string> norm_names_;
  std::vector<NormObjective> norms_;
  std::optional<References> references_;  ///< when a norm's objective needs them
  std::unique_ptr<T5> start_model_;       ///< until training takes it up
  std::string base_sha256_;               ///< of its weights, when an adapter is trained
  std::unique_ptr<Trainer> trainer_;
  bool holds_state_ = false;  ///< the trainer's weights and optimizer are those of step_
  std::int64_t step_ = 0;
  std::int64_t checkpointed_ = -1, measured_ = -1, pictured_ = -1;  ///< steps of the newest ones
  CheckpointWriter writer_;
  std::int64_t saving_ = -1;  ///< the step whose checkpoint is being written, until it is committed; -1: none
  bool said_waits_ = false;   ///< that training waits for a checkpoint
  double stood_still_ = 0;    ///< seconds for a checkpoint, since the newest step
};

}  // namespace plumbline
