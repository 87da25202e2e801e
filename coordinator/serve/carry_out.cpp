// What decide() wants done, action by action.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/post.hpp>

#include "common/core/files.hpp"
#include "common/record/metrics.hpp"
#include "coordinator/aggregate/aggregate.hpp"
#include "coordinator/report/report.hpp"
#include "coordinator/serve/commit.hpp"
#include "coordinator/serve/coordinator.hpp"
#include "coordinator/serve/fall_back.hpp"
#include "coordinator/serve/listener.hpp"

namespace plumbline {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kGroupNameBytes = 16;

RetentionPolicy retention_policy(const CheckpointConfig& config) {
  return {config.keep, config.keep_every, config.keep_best, config.every};
}

}  // namespace

// --- the group

void Coordinator::carry_out(const action::StartGroup& start) {
  LaunchRequest request;
  request.workers = start.workers;
  request.group = to_hex(random_bytes(kGroupNameBytes));
  request.generation = start.generation;
  if (const Status published = publish_address(); published.has_error())
    return feed(event::GroupNotStarted{published.error()});
  const std::string command = run_.launcher->command(request);
  if (run_.facts.supervised)
    spdlog::info("launching: {}", command);
  else
    spdlog::info("waiting for workers; start them with: {}", command);
  if (run_.launcher->elastic()) {
    if (const Status started = start_elastic_group(start, request.group); started.has_error())
      return feed(event::GroupNotStarted{started.error()});
    return feed(event::GroupStarted{request.group});
  }
  auto group = run_.launcher->start(request);
  if (group.has_error()) return feed(event::GroupNotStarted{group.error()});
  group_.process = std::move(group).value();
  if (run_.facts.supervised)
    watch(group_.exit, group_.process->pidfd(), [this] {
      if (!group_.process) return;
      const GroupExit exit = group_.process->wait();
      group_.process.reset();
      feed(event::GroupExited{exit.status, exit.description});
    });
  feed(event::GroupStarted{run_.facts.supervised ? request.group : std::string()});
}

template <class Exited>
void Coordinator::watch(std::optional<asio::posix::stream_descriptor>& descriptor, int pidfd, Exited exited) {
  descriptor.emplace(io_, dup(pidfd));  // A duplicate: the process closes its own.
  descriptor->async_wait(asio::posix::stream_descriptor::wait_read,
                         [exited = std::move(exited)](const boost::system::error_code& error) {
                           if (!error) exited();
                         });
}

Status Coordinator::start_elastic_group(const action::StartGroup& start, const std::string& group) {
  for (int number = 0; number < start.workers; ++number)
    PLUMBLINE_TRY(start_worker(number, group, /*elsewhere=*/false));
  return {};
}

Status Coordinator::start_worker(int number, const std::string& group, bool elsewhere) {
  LaunchRequest request;
  request.elsewhere = elsewhere;
  request.number = number;
  request.group = group;
  request.generation = run_.state.generation;
  PLUMBLINE_ASSIGN(auto process, run_.launcher->start(request));
  watch_worker(number, std::move(process));
  return {};
}

void Coordinator::watch_worker(int number, std::unique_ptr<WorkerGroup> process) {
  Launched& launched = workers_[number];
  launched.process = std::move(process);
  watch(launched.exit, launched.process->pidfd(), [this, number] {
    const auto found = workers_.find(number);
    if (found == workers_.end()) return;
    const GroupExit exit = found->second.process->wait();
    workers_.erase(found);
    feed(event::WorkerExited{number, exit.status, exit.description});
  });
}

void Coordinator::carry_out(const action::AdoptWorker& adopt) {
  if (adopt.host != host_name()) {  // Its connection alone tells of it.
    out_of_reach_.insert(adopt.number);
    return;
  }
  auto process = adopt_process(adopt.pid);
  if (process.has_error()) return feed(event::WorkerExited{adopt.number, 1, to_string(process.error())});
  watch_worker(adopt.number, std::move(process).value());
}

void Coordinator::carry_out(const action::StartWorker& start) {
  const Status started = start_worker(start.number, start.group, start.elsewhere);
  if (started.has_error())
    feed(event::WorkerExited{start.number, 1, "cannot be started: " + to_string(started.error())});
}

void Coordinator::carry_out(const action::KillWorker& kill) {
  if (out_of_reach_.erase(kill.number) > 0)
    return feed(event::WorkerExited{kill.number, 1, "is on another host, out of reach"});
  if (const auto found = workers_.find(kill.number); found != workers_.end()) found->second.process->kill();
}

void Coordinator::carry_out(const action::EndGroup& end) {
  const auto end_process = [&](WorkerGroup& process) { end.by_force ? process.kill() : process.terminate(); };
  if (group_.process) end_process(*group_.process);
  for (auto& [number, launched] : workers_) end_process(*launched.process);
  // Without their coordinator those end by themselves.
  for (const int number : std::exchange(out_of_reach_, {}))
    feed(event::WorkerExited{number, 1, "is on another host, out of reach"});
}

void Coordinator::carry_out(const action::Welcome& welcome) {
  Welcome message;
  message.generation = welcome.generation;
  message.under_way = welcome.under_way;
  in_turn(welcome.connection, [message](Peer& peer) { peer.welcome(message); });
}

void Coordinator::carry_out(const action::Assign& assign) {
  Assignment message = assign.assignment;
  if (assign.resume_from)
    message.resume_from = run_.layout.checkpoint(*assign.resume_from).lexically_relative(run_.layout.root()).string();
  if (run_.facts.elastic)  // The same for all ranks of the generation, and for nobody else.
    message.key = to_hex(hmac_sha256(run_.secret, "mesh " + std::to_string(message.generation.value())));
  in_turn(assign.connection, [message = std::move(message), mesh = assign.mesh](Peer& peer) mutable {
    if (mesh) message.mesh = *mesh;
    peer.speak_in(message.generation);
    peer.send(message);
  });
}

void Coordinator::carry_out(const action::Send& send) {
  in_turn(send.connection, [message = send.message](Peer& peer) { peer.send(message); });
}

void Coordinator::carry_out(const action::Drop& drop) {
  Peer* peer = find(drop.connection);
  if (peer == nullptr) return;
  peer->stop_listening();
  in_turn(drop.connection, [farewell = drop.farewell](Peer& dropped) {
    if (farewell)
      dropped.refuse(*farewell);
    else
      dropped.close("the coordinator ended it");
  });
}

// --- files

void Coordinator::carry_out(const action::StoreCheckpoint& store) {
  const std::int64_t step = store.manifest.step.value();
  off_loop(
      [layout = run_.layout, claim = run_.journal.claim(), store]() -> Status {
        PLUMBLINE_TRY(claim.check());
        return store_checkpoint(layout, store.manifest, store.generation);
      },
      [this, step, weights = store.manifest.weights_sha256()](const Status& stored) {
        if (stored.has_error()) return feed(event::CheckpointNotStored{step, stored.error()});
        feed(event::CheckpointStored{step, weights});
      });
}

void Coordinator::carry_out(const action::VerifyCheckpoint&) {
  const auto usable = std::make_shared<UsableCheckpoint>();
  off_loop(
      [usable, layout = run_.layout, commits = replay(run_.journal.entries()).commits]() -> Status {
        PLUMBLINE_ASSIGN(*usable, fall_back(layout, commits));
        return {};
      },
      [this, usable](const Status& verified) {
        if (verified.has_error()) return feed(event::NoCheckpointVerifies{verified.error()});
        feed(event::CheckpointVerified{usable->checkpoint, usable->set_aside});
      });
}

void Coordinator::carry_out(const action::PruneCheckpoints& prune) {
  off_loop(
      [layout = run_.layout, claim = run_.journal.claim(), prune, policy = retention_policy(run_.config.checkpoint),
       measures = run_.measures]() -> Status {
        PLUMBLINE_TRY(claim.check());
        prune_checkpoints(layout, prune.newest, policy, measures);
        remove_partial_checkpoints(layout, prune.generation);
        return {};
      },
      [](const Status&) {});
}

void Coordinator::carry_out(const action::AggregateSnapshot& aggregate) {
  off_loop([layout = run_.layout, aggregate,
            rows = num_probe_rows_] { return aggregate_snapshot(layout, Step(aggregate.step), aggregate.world, rows); },
           [this, step = aggregate.step](const Status& done) {
             feed(event::SnapshotAggregated{step, done.has_error() ? done.error() : Error{}, done.has_error()});
           });
}

void Coordinator::record(const Status& status) {
  if (status.has_error()) record_error_ = status.error();
}

void Coordinator::carry_out(const action::AppendJournal& append) {
  const Status written = run_.journal.append(append.event, append.data);
  if (append.required) return record(written);
  if (written.has_error()) spdlog::error("the journal does not say {}: {}", append.event, to_string(written.error()));
}

void Coordinator::carry_out(const action::AppendMetrics& append) {
  run_.progress.add(append.line);
  if (const auto measure = held_out_measure(append.line, run_.config.evaluate.judged > 0))
    add_measure(run_.measures, *measure);
  for (const DesiredFall& fall : run_.desired.add(append.line)) spdlog::warn("{}", to_string(fall));
  record(append_metrics(run_.layout.metrics(), append.line));
  if (const Status shown = run_.events.add(append.line); shown.has_error())
    spdlog::warn("{}", to_string(shown.error()));
}

// --- the run's end

void Coordinator::carry_out(const action::EndRun& ending) {
  if (outcome_) return;
  if (ending.outcome != action::Outcome::kFinished) return end(ending.error);
  summarize();
}

/// All workers have finished: what they wrote becomes the summary and the report. Both are made off the loop, so that
/// `plumbline status` is answered meanwhile.
void Coordinator::summarize() {
  spdlog::info("judging and comparing what the models wrote …");
  const CommittedCheckpoint final = *run_.state.checkpoint;
  const auto lost = std::make_shared<std::vector<Step>>();
  off_loop(
      [this, final, lost] {
        *lost = aggregate_left_snapshots(run_.layout, num_probe_rows_);
        return write_summary(run_.layout, run_.dataset, final.step, final.weights_sha256);
      },
      [this, final, lost](Status summarized) {
        for (const Step step : *lost) {
          spdlog::warn("the snapshot of step {} is missing: not all of its parts are there", step.value());
          carry_out(action::AppendJournal{"snapshot_missing", {{"step", step.value()}}, /*required=*/false});
        }
        if (summarized.has_value())
          summarized = run_.journal.append("evaluated",
                                           {{"step", final.step.value()}, {"weights_sha256", final.weights_sha256}});
        if (summarized.has_error()) return end_failed(summarized.error());
        off_loop([this] { return write_report(run_.layout); }, [this](const Status& reported) { finish(reported); });
      });
}

void Coordinator::finish(Status reported) {
  const CommittedCheckpoint& final = *run_.state.checkpoint;
  if (reported.has_value())
    reported =
        run_.journal.append("run_finished", {{"step", final.step.value()}, {"weights_sha256", final.weights_sha256}});
  if (reported.has_error()) return end_failed(reported.error());
  spdlog::info("finished at step {}, weights {}; report: {}", final.step.value(), final.weights_sha256,
               run_.layout.report().string());
  end(RunOutcome{final.step, final.weights_sha256});
}

void Coordinator::end_failed(const Error& error) {
  carry_out(action::AppendJournal{
      "run_failed",
      {{"code", static_cast<int>(error.code)}, {"message", error.message}, {"where", error.where}},
      /*required=*/false});
  end(error);
}

void Coordinator::end(Result<RunOutcome> outcome) {
  if (outcome_) return;
  outcome_ = std::move(outcome);
  // Not at once: what was just said to a peer waits for its turn, or is being written.
  turns_.add([this] { asio::post(io_, [this] { io_.stop(); }); });
}

}  // namespace plumbline
