// A worker of an ElasticCluster: elastic_worker.cpp, train_loop.cpp and stages.cpp of worker/, without the arithmetic.
#include "tests/coordinator/membership/elastic_cluster.hpp"

namespace plumbline {

void ElasticCluster::say(Worker& worker, Message message) {
  if (worker.link == 0 || worker.looking) return;
  Link& link = link_of(worker);
  if (link.dropped || link.broken) return;
  const bool may_come_twice = std::holds_alternative<StepDone>(message) ||
                              std::holds_alternative<PartWritten>(message) || std::holds_alternative<Finished>(message);
  if (may_come_twice && roll(20) == 0) link.said.emplace_back(worker.spoken, message);
  link.said.emplace_back(worker.spoken, std::move(message));
}

/// The session's reader takes one message.
void ElasticCluster::read(Worker& worker) {
  Link& link = link_of(worker);
  const Message message = std::move(link.unread.front());
  link.unread.pop_front();
  if (const auto* failed = std::get_if<Failed>(&message)) return refused(worker, *failed);
  if (const auto* assignment = std::get_if<Assignment>(&message)) {
    EXPECT_TRUE(worker.at == At::kReady) << "assigned before it has left the generation before";
    EXPECT_FALSE(worker.next) << "two assignments at once";
    worker.next = *assignment;
    worker.lease.reset();
    worker.committed = -1;
    worker.interrupted = false;
  }
  if (std::holds_alternative<StacksRequest>(message) && roll(2) == 0)
    say(worker, Artifact{"stacks", std::max<std::int64_t>(worker.step, 0), "logs/stacks"});
  if (std::holds_alternative<Regroup>(message)) worker.interrupted = true;
  if (std::holds_alternative<Dismissal>(message)) worker.dismissed = true;
  if (const auto* committed = std::get_if<Committed>(&message)) {
    EXPECT_GT(committed->step, worker.committed) << "one after the other";
    late_commits_ += worker.step > committed->step ? 1 : 0;
    worker.committed = committed->step;
    while (!worker.reports.empty() && worker.reports.front().step <= committed->step) worker.reports.pop_front();
  }
  if (const auto* lease = std::get_if<Lease>(&message)) {
    if (worker.lease) {
      EXPECT_GE(lease->end_step, worker.lease->end_step);
      EXPECT_FALSE(worker.lease->last) << "a lease after the last one";
      EXPECT_GT(lease->id, worker.lease->id);
    }
    worker.lease = *lease;
  }
  if (const auto* welcome = std::get_if<Welcome>(&message)) {
    if (worker.looking) return take_up(worker, *welcome);
    worker.spoken = welcome->generation.value();
    worker.at = welcome->under_way ? At::kPrepare : At::kFinish;
  }
}

/// What its session's other thread says of the one that trains.
Heartbeat ElasticCluster::heartbeat_of(const Worker& worker) {
  Heartbeat heartbeat;
  heartbeat.step = std::max<std::int64_t>(worker.step, 0);
  heartbeat.phase = "training";
  heartbeat.work = worker.work;
  if (worker.at >= At::kGather && worker.at <= At::kEvaluate) heartbeat.waits_in = "a call";
  if (worker.at == At::kReady || (worker.at == At::kCommit && !worker.writing) || worker.at == At::kLease ||
      worker.at == At::kFinished)
    heartbeat.waits_in = kWaitsForCoordinator;
  return heartbeat;
}

/// One turn of the thread that trains, or of the one that writes.
void ElasticCluster::act(Worker& worker) {
  if (write_parts(worker)) return;
  switch (worker.at) {
    case At::kStart:
      if (roll(3) != 0) return;
      if (!up_) return leave_world(worker, 6);  // No coordinator answers.
      worker.at = At::kWelcome;
      return say_hello(worker);
    case At::kWelcome:
    case At::kGone:
      return;
    case At::kPrepare:
      if (roll(4) == 0) leave_generation(worker);
      return;
    case At::kReady:
      if (worker.next) return take_part(worker);
      if (worker.dismissed) leave_world(worker, 0);
      return;
    case At::kFinished:
      if (worker.dismissed) return leave_world(worker, 0);
      if (worker.interrupted) leave_generation(worker);
      return;
    case At::kDue:
      return do_what_is_due(worker);
    case At::kSave:
      return save(worker);
    case At::kCommit:
      return await_commit(worker);
    case At::kPicture:
      worker.pictured = worker.step;
      say(worker, Artifact{"snapshot_part", worker.step, "snapshots/part"});
      worker.at = At::kDue;
      return;
    case At::kLease:
      return follow_lease(worker);
    case At::kFinish:
      return worker.place.generation.value() == 0 ? leave_generation(worker) : finish(worker);
    default:
      return meet(worker);
  }
}

/// Says what it holds and waits for what comes next; closing its ends of the mesh ends the others' calls too.
void ElasticCluster::leave_generation(Worker& worker) {
  if (const auto mesh = meshes_.find(worker.place.generation.value()); mesh != meshes_.end())
    mesh->second.broken = true;
  worker.at = At::kReady;
  if (worker.saving > worker.committed) ++given_up_;
  worker.saving = -1, worker.writing = false;
  Ready ready = worker.holds ? Ready{worker.step, "aa"} : Ready{};
  ready.unreached = std::exchange(worker.unreached, {});
  say(worker, std::move(ready));
}

void ElasticCluster::take_part(Worker& worker) {
  worker.place = *std::exchange(worker.next, std::nullopt);
  worker.spoken = worker.place.generation.value();
  worker.saved = worker.place.checkpointed;
  worker.measured = worker.place.measured;
  worker.pictured = worker.place.pictured;
  worker.finishing = false;
  worker.due = 0;
  worker.at = At::kGather;
  if (worker.place.source < 0) worker.reports.clear();
  if (worker.place.rank != 0) return;
  for (const StepDone& done : worker.reports)
    if (done.step > std::min(worker.place.recorded, worker.place.measured)) say(worker, done);
}

/// In a call of all ranks: goes on when all have come, or leaves a mesh that is broken.
void ElasticCluster::meet(Worker& worker) {
  Mesh& mesh = meshes_.at(worker.place.generation.value());
  if (mesh.broken || worker.interrupted) return leave_generation(worker);
  if (std::ssize(mesh.ranks) < mesh.world || waits_for_severed(worker, mesh)) return;
  for (const std::size_t rank : mesh.ranks) {
    const Worker& other = workers_[rank];
    if (other.at != worker.at || other.suspended || other.place.generation != worker.place.generation) {
      const bool alone = other.at == At::kReady || other.at == At::kGather || other.at == At::kDue ||
                         other.at == At::kSave || other.at == At::kCommit || other.at == At::kPicture ||
                         other.at == At::kLease || other.at == At::kFinish || other.at == At::kGone || other.suspended;
      EXPECT_TRUE(alone) << "the ranks do different things: " << static_cast<int>(worker.at) << " and "
                         << static_cast<int>(other.at);
      return;
    }
  }
  complete(mesh, worker.at);
}

/// A call in which something that is sent does not arrive ends for nobody, until one that waits for it notices.
bool ElasticCluster::waits_for_severed(Worker& worker, const Mesh& mesh) {
  bool severed = false;
  for (const std::size_t one : mesh.ranks)
    for (const std::size_t other : mesh.ranks)
      severed = severed || deaf_.contains({workers_[one].pid, workers_[other].pid});
  if (!severed) return false;
  for (int rank = 0; rank < std::ssize(mesh.ranks); ++rank)
    if (deaf_.contains({worker.pid, workers_[mesh.ranks[static_cast<std::size_t>(rank)]].pid}))
      worker.unreached.push_back(rank);
  if (!worker.unreached.empty() && roll(10) == 0)
    leave_generation(worker);
  else
    worker.unreached.clear();
  return true;
}

/// All ranks come out of the call, unless one dies in it: then each of the others may or may not.
void ElasticCluster::complete(Mesh& mesh, At what) {
  std::optional<std::size_t> dies;
  if (happens(dangers_.torn)) dies = static_cast<std::size_t>(roll(mesh.ranks.size()));
  if (what == At::kJoin) return join(mesh, dies);
  const auto [step, content] = std::pair(workers_[mesh.ranks.front()].step, workers_[mesh.ranks.front()].content);
  int lanes = 0;
  if (what == At::kStep) {
    for (const std::size_t rank : mesh.ranks) {
      const Worker& worker = workers_[rank];
      EXPECT_EQ(worker.step, step);
      EXPECT_EQ(worker.content, content) << "the ranks hold different states";
      EXPECT_EQ(worker.lease->lane_begin, lanes) << "a lane is computed twice, or not at all";
      lanes = worker.lease->lane_end;
    }
    EXPECT_EQ(lanes, facts().lanes);
    ++steps_taken_;
  }
  for (std::size_t i = 0; i < mesh.ranks.size(); ++i)
    if (!dies || (i != *dies && roll(2) == 0)) come_out(workers_[mesh.ranks[i]], what);
  if (dies) leave_world(workers_[mesh.ranks[*dies]], 137);
}

void ElasticCluster::come_out(Worker& worker, At what) {
  const bool leads = worker.place.rank == 0;
  const auto report = [&](const StepDone& done) {
    worker.reports.push_back(done);
    if (leads) say(worker, done);
  };
  switch (what) {
    case At::kGather:
      worker.at = worker.place.source < 0 ? At::kBuild : At::kJoin;
      if (worker.at == At::kJoin) take_over_reports(worker);
      if (worker.place.source < 0) worker.holds = false;
      return;
    case At::kBuild:
      worker.step = worker.place.start_step;
      worker.content = worker.step == 0 ? chain(0) : files_.at(worker.step);
      worker.holds = true;
      worker.at = At::kDue;
      return;
    case At::kMeasure:
      worker.measured = worker.step;
      report({worker.step, {{"kind", "heldout"}, {"step", worker.step}}});
      worker.at = At::kDue;
      return;
    case At::kStep:
      ++worker.step;
      worker.content = mixed(worker.content, worker.step);
      EXPECT_EQ(worker.content, chain(worker.step)) << "not what an undisturbed run holds";
      report({worker.step, {{"kind", "train"}, {"step", worker.step}, {"seconds", 0.25}}});
      worker.due = 0;
      worker.at = At::kDue;
      return;
    case At::kEvaluate:
      worker.due = 4;
      worker.at = At::kDue;
      return;
    default:
      ADD_FAILURE() << "no call of all ranks";
  }
}

/// It may be the next to say what the source's coordinator has not written down yet.
void ElasticCluster::take_over_reports(Worker& worker) {
  const Mesh& mesh = meshes_.at(worker.place.generation.value());
  const std::deque<StepDone> reports = workers_[mesh.ranks.front()].reports;
  const auto kind = [](const StepDone& done) { return done.metrics.at("kind"); };
  for (const StepDone& done : reports) {
    if (done.step <= (kind(done) == "train" ? worker.place.recorded : worker.place.measured)) continue;
    const auto later = std::find_if(worker.reports.begin(), worker.reports.end(),
                                    [&](const StepDone& kept) { return kept.step > done.step; });
    const bool known = std::any_of(worker.reports.begin(), later, [&](const StepDone& kept) {
      return kept.step == done.step && kind(kept) == kind(done);
    });
    if (!known) worker.reports.insert(later, done);
  }
}

/// Whoever holds something else than rank 0 copies its state.
void ElasticCluster::join(Mesh& mesh, std::optional<std::size_t> dies) {
  Worker& source = workers_[mesh.ranks.front()];
  EXPECT_TRUE(source.holds);
  EXPECT_EQ(source.step, source.place.start_step);
  if (dies == 0u && roll(2) == 0) return leave_world(source, 137);
  for (std::size_t i = 0; i < mesh.ranks.size(); ++i) {
    Worker& worker = workers_[mesh.ranks[i]];
    const bool equal = worker.holds && worker.step == source.step;
    if (equal) {
      EXPECT_EQ(worker.content, source.content);
    }
    if (dies && (i == *dies || roll(3) == 0)) continue;  // before the copy begins
    worker.holds = equal;
    if (dies && roll(2) == 0) continue;  // in the middle of it
    worker.holds = true;
    worker.step = source.step;
    worker.content = source.content;
    worker.at = At::kDue;
  }
  if (dies) leave_world(workers_[mesh.ranks[*dies]], 137);
}

/// A copy, which is written while training goes on. Only one at a time: where the one before is still under way, it is
/// waited for.
void ElasticCluster::save(Worker& worker) {
  if (worker.saving > worker.committed) {
    worker.after_commit = At::kSave;
    worker.at = At::kCommit;
    return;
  }
  worker.saving = worker.step;
  if (worker.finishing) last_saves_.insert(worker.step);
  worker.writing = true;
  const auto [file, first] = partial_.try_emplace({worker.place.generation.value(), worker.step}, worker.content);
  EXPECT_EQ(file->second, worker.content) << "parts of different states in one folder";
  worker.after_commit = worker.finishing ? At::kDue : worker.after_commit;
  worker.at = worker.finishing ? At::kCommit : At::kDue;
}

/// The thread beside: true when it has done something.
bool ElasticCluster::write_parts(Worker& worker) {
  if (!worker.writing || roll(writing_turns_) != 0) return false;
  worker.writing = false;
  if (worker.place.rank == 0) say(worker, PartWritten{worker.saving, "model.safetensors", 1, std::string(64, 'a'), 2});
  if (worker.place.rank == 1 % world(worker))
    say(worker, PartWritten{worker.saving, "optimizer", 1, std::string(64, 'b'), 2});
  return true;
}

void ElasticCluster::await_commit(Worker& worker) {
  if (worker.interrupted) return leave_generation(worker);
  if (worker.committed < worker.saving) return;
  worker.saved = worker.saving;
  if (worker.after_commit == At::kReady) return leave_generation(worker);
  worker.at = worker.after_commit;
}

/// Held-out loss, checkpoint, snapshot: in this order, each where it is due and not recorded yet.
void ElasticCluster::do_what_is_due(Worker& worker) {
  const auto is_due = [&](std::int64_t every) { return worker.finishing || worker.step % every == 0; };
  const bool first_measure = worker.finishing == (worker.due >= 2);
  switch (worker.due++) {
    case 0:  // At the end the checkpoint comes first.
    case 2:
      if (worker.finishing && worker.lease->stop) {
        worker.at = At::kFinish;
        return;
      }
      if (first_measure && is_due(measure_every_) && worker.measured < worker.step) worker.at = At::kMeasure;
      return;
    case 1:
      if (worker.step > 0 && (is_due(save_every_) || worker.step == worker.place.make_up) &&
          std::max(worker.saved, worker.saving) < worker.step) {
        worker.at = At::kSave;
      } else if (worker.finishing && worker.saving > worker.committed) {
        worker.after_commit = At::kDue;
        worker.at = At::kCommit;
      }
      return;
    case 3:
      if (worker.finishing)
        worker.at = At::kEvaluate;
      else if (worker.step > 0 && is_due(picture_every_) && worker.pictured < worker.step)
        worker.at = At::kPicture;
      return;
    case 4:
      if (worker.finishing && worker.pictured < worker.step) worker.at = At::kPicture;
      return;
    default:
      worker.at = worker.finishing ? At::kFinish : At::kLease;
  }
}

void ElasticCluster::follow_lease(Worker& worker) {
  if (worker.interrupted) return leave_generation(worker);
  if (!worker.lease || (worker.lease->end_step <= worker.step && !worker.lease->last)) return;
  if (worker.step < worker.lease->end_step) {
    worker.at = At::kStep;
    return;
  }
  EXPECT_EQ(worker.step, worker.lease->end_step);
  if (worker.lease->regroup) {
    worker.after_commit = At::kReady;
    worker.at = At::kCommit;
    return;
  }
  worker.finishing = true;
  worker.due = 1;
  worker.at = At::kDue;
}

void ElasticCluster::finish(Worker& worker) {
  say(worker, Finished{worker.step});
  worker.at = At::kFinished;
}

}  // namespace plumbline
