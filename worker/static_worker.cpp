#include "worker/static_worker.hpp"

#include <cstdlib>

#include "common/core/files.hpp"
#include "worker/collective/nccl_group.hpp"
#include "worker/collective/watched.hpp"
#include "worker/device.hpp"
#include "worker/joining.hpp"
#include "worker/log.hpp"
#include "worker/numerics.hpp"
#include "worker/train_loop.hpp"

namespace plumbline {

namespace {

/// What all ranks of one launched group share: the launcher's name for it, or rank 0's random one.
Result<std::string> group_of(Collective& collective) {
  const char* given = std::getenv("PLUMBLINE_GROUP");
  PLUMBLINE_ASSIGN(const auto all, collective.all_gather_bytes(given != nullptr ? given : to_hex(random_bytes(16))));
  return all.front();
}

Status train(const WorkerContext& context, Collective& ranks) {
  const std::optional<Assignment> assignment = context.session.next_assignment();
  if (!assignment) return {};
  if (assignment->rank != ranks.rank() || assignment->world != ranks.size())
    return run_error("the coordinator takes rank " + std::to_string(ranks.rank()) + " of " +
                         std::to_string(ranks.size()) + " for rank " + std::to_string(assignment->rank) + " of " +
                         std::to_string(assignment->world),
                     "control plane");
  TrainLoop loop(context);
  const auto run = [&](Collective& group) -> Status {
    WatchedCollective watched(group);
    PLUMBLINE_ASSIGN(const TrainLoop::Ending ending, loop.run(*assignment, watched));
    if (ending == TrainLoop::Ending::kFinished) return {};
    return run_error("the coordinator asks a static group to regroup", "control plane");
  };
  if (context.device.is_cpu() || ranks.size() == 1) return run(ranks);
  std::string id;
  if (ranks.rank() == 0) {
    PLUMBLINE_ASSIGN(id, new_nccl_id());
    PLUMBLINE_TRY(context.session.send(NcclId{id}));
  } else {
    PLUMBLINE_ASSIGN(id, context.session.nccl_id());
  }
  NcclPlace place;
  place.rank = ranks.rank(), place.size = ranks.size(), place.device = context.device;
  place.timeout = worker_timeout(context.config.control, /*elastic=*/false);
  PLUMBLINE_ASSIGN(const auto gpus, make_nccl_collective(place, id));
  return run(*gpus);
}

}  // namespace

Status work_in_static_group(const RunLayout& layout, const RunConfig& config, Collective& ranks) {
  PLUMBLINE_ASSIGN(const at::Device device, choose_device(config.workers.device, ranks));
  const std::string fingerprint = numeric_fingerprint(device, config.workers.threads, precision_of(config.train));
  PLUMBLINE_ASSIGN(const std::string group, group_of(ranks));
  Hello hello = introduce(group, fingerprint);
  hello.rank = ranks.rank(), hello.world = ranks.size();
  PLUMBLINE_ASSIGN(const auto session, Session::join(layout.root(), std::move(hello), session_options(config, layout)));
  log_info("joined as rank " + std::to_string(ranks.rank()) + " of " + std::to_string(ranks.size()) + " (" +
           ranks.name() + "), " + fingerprint);
  const Status status = guarded(config, "rank " + std::to_string(ranks.rank()), [&] {
    return train({config, layout, *session, device, fingerprint}, ranks);
  });
  take_leave(*session, status);
  return status;
}

}  // namespace plumbline
