// The stages' checkpoints: a copy, then a thread that writes while training goes on, and what has to wait for it.
#include <algorithm>
#include <chrono>
#include <utility>

#include "worker/activity.hpp"
#include "worker/log.hpp"
#include "worker/stages.hpp"

namespace plumbline {

/// Every rank writes its parts, beside training; the coordinator verifies, writes the manifest, renames, and says so.
Status Stages::save_checkpoint() {
  if (std::max(checkpointed_, saving_) >= step_) return {};
  const auto began = std::chrono::steady_clock::now();
  PLUMBLINE_TRY(await_checkpoint());
  enter("checkpoint");
  const auto tell = [&session = context_.session, step = step_,
                     parts = checkpoint_parts(source())](const WrittenPart& part) {
    return session.send(PartWritten{step, part.file, part.bytes, part.sha256, parts});
  };
  const auto folder = context_.layout.partial_checkpoint(Step(step_), assignment_.generation);
  PLUMBLINE_TRY(writer_.begin(folder, source(), state(), rank(), world(), tell));
  saving_ = step_;
  stood_still_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return {};
}

void Stages::say_when_training_waits() {
  if (saving_ < 0 || saving_ >= step_ || std::exchange(said_waits_, true)) return;
  log_info("the checkpoint of step " + std::to_string(step_) + " is due while that of step " + std::to_string(saving_) +
           " is being written: training waits for it, now and where it happens again. " +
           "checkpoint.every is short for this disk");
}

Status Stages::await_checkpoint() {
  if (saving_ < 0) return {};
  enter("checkpoint");
  const auto interrupted = [this, seen = writer_.blocks()]() mutable {
    const std::uint64_t blocks = writer_.blocks();
    if (std::exchange(seen, blocks) != blocks) activity().advance();
    return context_.session.interrupt().raised();
  };
  PLUMBLINE_TRY(writer_.wait(interrupted));
  PLUMBLINE_ASSIGN(const std::string hash, context_.session.committed(saving_));
  checkpoint_is_committed(hash);
  return {};
}

Status Stages::look_after_checkpoint() {
  if (saving_ < 0) return {};
  PLUMBLINE_TRY(writer_.failure());
  const std::optional<Committed> committed = context_.session.newest_commit();
  if (committed && committed->step >= saving_) checkpoint_is_committed(committed->weights_sha256);
  return {};
}

void Stages::checkpoint_is_committed(const std::string& weights_sha256) {
  checkpointed_ = std::exchange(saving_, -1);
  log_info("checkpoint of step " + std::to_string(checkpointed_) + " committed, weights " + weights_sha256);
}

/// Before training begins, and not for the last checkpoint alone, which nobody trains beside.
Status Stages::make_room_for_checkpoints() {
  if (config().checkpoint.every <= 0 || config().checkpoint.every >= config().train.steps) return {};
  return writer_.prepare(source(), rank(), world());
}

void Stages::end() {
  writer_.give_up();
  if (saving_ >= 0) log_info("the checkpoint of step " + std::to_string(saving_) + " is given up with its generation");
  saving_ = -1;
}

}  // namespace plumbline
