#include "worker/elastic_worker.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/config/loopback.hpp"
#include "worker/collective/nccl_group.hpp"
#include "worker/collective/tcp_mesh.hpp"
#include "worker/collective/watched.hpp"
#include "worker/device.hpp"
#include "worker/joining.hpp"
#include "worker/log.hpp"
#include "worker/numerics.hpp"
#include "worker/train_loop.hpp"

namespace plumbline {

namespace {

/// Where workers of several hosts listen. Others are told the address by which this one reaches the coordinator.
constexpr const char* kEverywhere = "0.0.0.0";

/// The group of one generation: TCP brings the ranks together, and NCCL takes over between GPUs.
struct Group {
  std::unique_ptr<Collective> ranks, gpus;
  [[nodiscard]] Collective& of_training() const { return gpus ? *gpus : *ranks; }
};

class ElasticWorker {
 public:
  ElasticWorker(const WorkerContext& context, const MeshListener& listener)
      : context_(context), listener_(listener), loop_(context) {}

  Status work() {
    if (context_.session.welcome().under_way) PLUMBLINE_TRY(loop_.prepare_to_join());
    for (;;) {
      Ready holding = loop_.holding();
      holding.unreached = std::exchange(unreached_, {});
      const std::optional<Assignment> assignment = context_.session.ready(holding);
      if (!assignment) return {};
      // Before anybody else can hold its step: whoever goes on with a copy of it could not report it.
      PLUMBLINE_TRY(context_.session.report_again(*assignment));
      PLUMBLINE_ASSIGN(const TrainLoop::Ending ending, take_part(*assignment));
      if (ending == TrainLoop::Ending::kFinished && context_.session.dismissed()) return {};
    }
  }

 private:
  /// A generation that broke is no error: the worker is ready for the next one.
  Result<TrainLoop::Ending> take_part(const Assignment& assignment) {
    const auto gathered = gather(assignment);
    if (gathered.has_error()) return after_break(gathered.error());
    const Group& group = gathered.value();
    WatchedCollective ranks(*group.ranks);
    if (const Status shared = share_reports(assignment, ranks); shared.has_error()) return after_break(shared.error());
    WatchedCollective watched(group.of_training());
    Result<TrainLoop::Ending> ended = loop_.run(assignment, watched);
    // Without its coordinator a worker may meet what the next one has cleared away.
    if (ended.has_error() &&
        (group.of_training().broken() || context_.session.interrupt().raised() || !context_.session.connected()))
      return after_break(ended.error());
    return ended;
  }
  static TrainLoop::Ending after_break(const Error& why) {
    log_info("generation ends here: " + to_string(why));
    return TrainLoop::Ending::kRegroup;
  }

  /// Before anybody takes over the source's state: if that rank and the coordinator die before the coordinator has read
  /// what the source has said again, whoever holds the state has to say it.
  Status share_reports(const Assignment& assignment, Collective& ranks) {
    if (assignment.source < 0) return {};
    const bool is_source = assignment.rank == assignment.source;
    PLUMBLINE_ASSIGN(const auto reports,
                     ranks.all_gather_bytes(is_source ? context_.session.unrecorded(assignment) : std::string()));
    return is_source ? Status() : context_.session.take_over(reports[static_cast<std::size_t>(assignment.source)]);
  }

  Result<Group> gather(const Assignment& assignment) {
    MeshPlace place;
    place.rank = assignment.rank, place.addresses = assignment.mesh, place.generation = assignment.generation;
    place.key = assignment.key;
    place.encrypted = !is_loopback(context_.config.control.bind);
    // What was lost is sent again in ever longer intervals: an interruption that the coordinator bears is heard the end
    // of within twice its length.
    place.silence = 2 * worker_timeout(context_.config.control, /*elastic=*/true);
    place.unreached = [this](int rank) {
      if (std::find(unreached_.begin(), unreached_.end(), rank) == unreached_.end()) unreached_.push_back(rank);
    };
    Group group;
    PLUMBLINE_ASSIGN(group.ranks, make_tcp_collective(place, listener_, context_.session.interrupt()));
    if (context_.device.is_cpu() || assignment.world == 1) return group;
    std::string id;
    if (assignment.rank == 0) {
      PLUMBLINE_ASSIGN(id, new_nccl_id());
    }
    PLUMBLINE_ASSIGN(const auto ids, group.ranks->all_gather_bytes(id));
    NcclPlace gpu;
    gpu.rank = assignment.rank, gpu.size = assignment.world, gpu.device = context_.device;
    gpu.timeout = place.timeout, gpu.interrupt = &context_.session.interrupt();
    PLUMBLINE_ASSIGN(group.gpus, make_nccl_collective(gpu, ids.front()));
    return group;
  }

  WorkerContext context_;
  const MeshListener& listener_;
  std::vector<int> unreached_;  ///< in the generation that was left last
  TrainLoop loop_;
};

}  // namespace

Status work_in_elastic_group(const RunLayout& layout, const RunConfig& config, int number) {
  PLUMBLINE_ASSIGN(const at::Device device, device_of_worker(config.workers.device, number, config.workers.count));
  const std::string fingerprint = numeric_fingerprint(device, config.workers.threads, precision_of(config.train));
  PLUMBLINE_ASSIGN(const MeshListener listener,
                   MeshListener::open(is_loopback(config.control.bind) ? config.control.bind : kEverywhere));
  const char* group = std::getenv("PLUMBLINE_GROUP");
  Hello hello = introduce(group != nullptr ? group : "", fingerprint);
  hello.rank = number, hello.world = 0, hello.mesh = listener.address();
  SessionOptions options = session_options(config, layout);
  options.orphan = std::chrono::milliseconds(config.control.orphan_ms);
  PLUMBLINE_ASSIGN(const auto session, Session::join(layout.root(), std::move(hello), std::move(options)));
  log_info("joined as worker " + std::to_string(number) + " (" + listener.address() + "), " + fingerprint);
  const Status status = guarded(config, "worker " + std::to_string(number), [&] {
    return ElasticWorker({config, layout, *session, device, fingerprint}, listener).work();
  });
  take_leave(*session, status);
  return status;
}

}  // namespace plumbline
