#include "worker/train_loop.hpp"

#include "worker/stages.hpp"

namespace plumbline {

TrainLoop::TrainLoop(const WorkerContext& context) : stages_(std::make_unique<Stages>(context)) {}
TrainLoop::~TrainLoop() = default;

Result<TrainLoop::Ending> TrainLoop::run(const Assignment& assignment, Collective& collective) {
  Result<Ending> ended = take_part(assignment, collective);
  stages_->end();
  return ended;
}

Result<TrainLoop::Ending> TrainLoop::take_part(const Assignment& assignment, Collective& collective) {
  Stages& stages = *stages_;
  PLUMBLINE_TRY(stages.begin(assignment, collective));
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
    if (lease.regroup) {
      PLUMBLINE_TRY(stages.await_checkpoint());
      return Ending::kRegroup;
    }
    PLUMBLINE_TRY(stages.finish(lease));
    return Ending::kFinished;
  }
}

Status TrainLoop::prepare_to_join() { return stages_->prepare_to_join(); }

Ready TrainLoop::holding() const { return stages_->holding(); }

}  // namespace plumbline
