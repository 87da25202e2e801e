// The world around the workers of an ElasticCluster: turns, faults, files, and what the end must look like.
#include "tests/coordinator/membership/elastic_cluster.hpp"

namespace plumbline {

std::uint64_t ElasticCluster::mixed(std::uint64_t content, std::int64_t step) {
  std::uint64_t x = content * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(step);
  x ^= x >> 31;
  return x * 0xbf58476d1ce4e5b9u + 1;
}

std::uint64_t ElasticCluster::chain(std::int64_t step) {
  while (std::ssize(chain_) <= step) chain_.push_back(mixed(chain_.back(), std::ssize(chain_)));
  return chain_[static_cast<std::size_t>(step)];
}

action::EndRun ElasticCluster::run() {
  feed(event::Begin{});
  for (; !ended_ && turns_ < 200'000 && !testing::Test::HasFailure(); ++turns_) turn();
  EXPECT_TRUE(ended_) << "the run does not end: " << describe_phase(drive_.state()) << " in generation " << generation_
                      << " with " << drive_.state().members.size() << " members, " << drive_.state().newcomers.size()
                      << " newcomers and " << drive_.state().processes.size() << " processes";
  check_end();
  return ended_.value_or(action::EndRun{});
}

void ElasticCluster::feed(const Event& event) {
  events_.push_back(event);
  if (deciding_) return;
  deciding_ = true;
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    decide_on(next);
  }
  deciding_ = false;
}

/// The coordinator may be killed before, between and after the actions.
void ElasticCluster::decide_on(const Event& event) {
  const std::vector<Action> actions = drive_.feed(event);
  check_numbers();
  std::size_t before_its_end = actions.size() + 1;
  if (happens(dangers_.restart)) before_its_end = static_cast<std::size_t>(roll(actions.size() + 1));
  for (const Action& action : actions) {
    if (before_its_end-- == 0) return kill_coordinator();
    EXPECT_FALSE(ended_ && !std::holds_alternative<action::Note>(action.what))
        << "something follows the end: " << action.reason;
    std::visit([&](const auto& what) { carry_out(what); }, action.what);
  }
  if (before_its_end == 0 && !ended_) kill_coordinator();
}

/// Nobody is kept beyond those who train and those who wait to.
void ElasticCluster::check_numbers() const {
  const RunState& state = drive_.state();
  if (state.phase != GroupPhase::kTraining || state.all_finished) return;
  std::ptrdiff_t kept = std::ssize(state.members);
  for (const auto& [number, newcomer] : state.newcomers)
    kept += newcomer.connected && !state.dismissed.contains(number) ? 1 : 0;
  EXPECT_LE(kept, facts().workers + facts().spares);
}

void ElasticCluster::turn() {
  if (!up_ && roll(150) == 0) begin_again();
  const auto pass = [&](std::chrono::milliseconds time) {
    waited_ += time;
    drive_.advance(time);
  };
  if (up_ && happens(dangers_.jump)) pass(std::chrono::minutes(1 + roll(3)));
  if (up_ && roll(4) == 0) {
    pass(std::chrono::milliseconds(roll(80)));
    feed(event::Tick{});
  }
  if (!ended_) wreck();
  if (ended_ || settle_files()) return;
  if (std::exchange(say_started_, false)) return feed(event::GroupStarted{group_});
  if (workers_.empty()) return;
  switch (roll(8)) {
    case 0:
      report_exit();
      return;
    case 1:
    case 2:
    case 3:
      read_one();
      return;
    default:
      for (std::uint64_t i = 0, first = roll(workers_.size()); i < workers_.size() && !ended_; ++i) {
        Worker& worker = workers_[static_cast<std::size_t>((first + i) % workers_.size())];
        if (!worker.alive || worker.suspended) continue;
        if (tend(worker) || worker.hung) return;
        const auto before = std::tuple(worker.at, worker.step, worker.due);
        act(worker);
        const bool writes = worker.writing && worker.at == At::kCommit;  // It looks how its writer gets on.
        if (writes || before != std::tuple(worker.at, worker.step, worker.due)) ++worker.work;
        return;
      }
  }
}

/// Perhaps something goes wrong.
void ElasticCluster::wreck() {
  if (up_ && happens(dangers_.stop)) {
    stop_asked_ = true;
    feed(event::StopRequested{"test", roll(6) == 0});
  }
  if (ended_) return;
  if (up_ && happens(dangers_.stale)) say_something_stale();
  if (ended_ || workers_.empty()) return;
  const auto one = [&]() -> Worker& { return workers_[static_cast<std::size_t>(roll(workers_.size()))]; };
  if (happens(dangers_.death)) leave_world(one(), 137);
  if (happens(dangers_.death / 4))  // several at once
    for (Worker& worker : workers_)
      if (roll(3) != 0) leave_world(worker, 137);
  if (happens(dangers_.silence)) one().suspended = true;
  if (dangers_.silence > 0 && roll(100) == 0) one().suspended = false;
  if (happens(dangers_.hang)) one().hung = true;
  if (happens(dangers_.cut)) cut_some_connection();
  if (happens(dangers_.sever)) sever_some_way();
  if (!deaf_.empty() && (calm() || roll(2'000) == 0)) deaf_.clear();
  if (!happens(dangers_.failure)) return;
  Worker& failing = one();
  if (!failing.alive || failing.suspended || failing.link == 0 || failing.at == At::kWelcome) return;
  say(failing, Failed{4, "the loss is not finite", "", ""});
  leave_world(failing, 4);
  failed_on_its_own_ = true;
}

/// What is done off the coordinator's loop comes to its end.
bool ElasticCluster::settle_files() {
  if (storing_ && roll(6) == 0) {
    const std::int64_t step = *std::exchange(storing_, std::nullopt);
    feed(event::CheckpointStored{step, "w" + std::to_string(step)});
    return true;
  }
  if (!aggregating_.empty() && roll(6) == 0) {
    const std::int64_t step = *aggregating_.begin();
    aggregating_.erase(aggregating_.begin());
    feed(event::SnapshotAggregated{step, {}, false});
    return true;
  }
  if (!verifying_ || storing_ || roll(6) != 0) return false;
  verifying_ = false, verified_ = true;
  event::CheckpointVerified verified;
  verified.checkpoint = newest_whole(verified.set_aside);
  feed(verified);
  return true;
}

CommittedCheckpoint ElasticCluster::newest_whole(std::vector<SetAsideCheckpoint>& set_aside) {
  std::size_t good = commits_.size() - 1;
  for (; good > 0 && static_cast<int>(roll(100)) < dangers_.damage; --good)
    set_aside.push_back({{Step(commits_[good]), "w"}, "file", "reason", "moved"});
  fallen_back_ = fallen_back_ || !set_aside.empty();
  return {Step(commits_[good]), "w" + std::to_string(commits_[good])};
}

void ElasticCluster::launch(int number) {
  EXPECT_EQ(running(number), nullptr) << "worker " << number << " runs already";
  Worker worker;
  worker.number = number;
  worker.pid = std::ssize(workers_) + 1;
  worker.group = group_;
  worker.far = roll(4) == 0;
  worker.watched = true;
  workers_.push_back(std::move(worker));
  if (!calm() && static_cast<int>(roll(100)) < dangers_.refusal) leave_world(workers_.back(), roll(2) == 0 ? 6 : 1);
}

/// The process ends; its mesh notices at once, the coordinator later.
void ElasticCluster::leave_world(Worker& worker, int status) {
  if (!worker.alive) return;
  worker.alive = false;
  worker.status = status;
  worker.at = At::kGone;
  deaths_ += status == 137 ? 1 : 0;
  if (const auto mesh = meshes_.find(worker.place.generation.value()); mesh != meshes_.end())
    for (const std::size_t rank : mesh->second.ranks)
      if (&workers_[rank] == &worker) mesh->second.broken = true;
}

/// The coordinator reads from one connection.
bool ElasticCluster::read_one() {
  for (std::uint64_t i = 0, first = roll(links_.size() + 1); i < links_.size(); ++i) {
    Link& link = links_[static_cast<std::size_t>((first + i) % links_.size())];
    if (!link.open) continue;
    const Worker& worker = workers_[link.worker];
    const bool over = (link.broken && !link.hidden) || !worker.alive || worker.link != link.id;
    if (link.dropped || (over && link.said.empty())) {
      link.open = false;
      feed(event::ConnectionLost{ConnectionId(link.id), "the connection ended"});
      return true;
    }
    const bool beats = !over && !link.broken && !worker.suspended && !worker.looking && worker.at != At::kWelcome;
    if (link.said.empty() && !beats) continue;
    auto [generation, message] = std::pair<std::uint64_t, Message>(worker.spoken, heartbeat_of(worker));
    if (!link.said.empty() && (!beats || roll(6) != 0)) {
      std::tie(generation, message) = link.said.front();
      link.said.pop_front();
    }
    if (const auto* part = std::get_if<PartWritten>(&message)) reported_[{generation, part->step}].insert(part->file);
    feed(event::WorkerSaid{ConnectionId(link.id), Generation(generation), message});
    return true;
  }
  return false;
}

bool ElasticCluster::report_exit() {
  for (std::uint64_t i = 0, first = roll(workers_.size()); i < workers_.size(); ++i) {
    Worker& worker = workers_[static_cast<std::size_t>((first + i) % workers_.size())];
    if (worker.alive || !worker.watched) continue;
    worker.watched = false;
    feed(event::WorkerExited{worker.number, worker.status, "exited with status " + std::to_string(worker.status)});
    return true;
  }
  return false;
}

/// From a connection that has ended, or that never was.
void ElasticCluster::say_something_stale() {
  const ConnectionId connection(1 + roll(links_.size() + 2));
  if (find(connection) != nullptr) return;
  feed(event::Tick{});  // What time alone brings about is not theirs.
  if (!up_ || ended_) return;
  const auto step = static_cast<std::int64_t>(roll(30));
  const RunState before = drive_.state();
  const Message messages[] = {StepDone{step, {{"kind", "train"}, {"step", step}}},
                              PartWritten{step, "model.safetensors", 1, std::string(64, 'c'), 1}, Ready{step, "aa"},
                              Finished{step}, Failed{4, "stale", "", ""}};
  for (const Message& message : messages)
    feed(event::WorkerSaid{connection, Generation(roll(generation_ + 1)), message});
  feed(event::ConnectionLost{connection, "late"});
  EXPECT_EQ(drive_.state().phase, before.phase);
  EXPECT_EQ(drive_.state().members.size(), before.members.size());
  EXPECT_EQ(drive_.state().recorded, before.recorded);
  EXPECT_EQ(drive_.state().leases.newest(), before.leases.newest());
}

ElasticCluster::Link* ElasticCluster::find(ConnectionId connection) {
  const std::uint64_t id = connection.value();
  if (id == 0 || id > links_.size()) return nullptr;
  Link& link = links_[static_cast<std::size_t>(id - 1)];
  return link.open ? &link : nullptr;
}

/// The process of this number that the coordinator has not seen ending.
ElasticCluster::Worker* ElasticCluster::running(int number) {
  for (Worker& worker : workers_)
    if (worker.number == number && worker.watched) return &worker;
  return nullptr;
}

/// At the start, where it was due, and at the end.
void ElasticCluster::check_measured() const {
  const std::vector<std::int64_t> held_out = steps_of_metrics("heldout");
  const std::set<std::int64_t> measured(held_out.begin(), held_out.end());
  EXPECT_EQ(measured.size(), held_out.size());
  for (std::int64_t step = 0; step <= facts().lease.steps; ++step)
    EXPECT_TRUE(measured.contains(step) || (step % measure_every_ != 0 && step < facts().lease.steps))
        << "step " << step << " was not measured";
}

void ElasticCluster::check_end() {
  if (!ended_) return;
  for (const Worker& worker : workers_) EXPECT_FALSE(worker.watched) << "a worker is left behind";
  EXPECT_FALSE(storing_ || !aggregating_.empty() || verifying_);
  const std::int64_t committed = commits_.empty() ? 0 : commits_.back();
  std::vector<std::int64_t> all;
  switch (ended_->outcome) {
    case action::Outcome::kFinished:
      EXPECT_EQ(committed, facts().lease.steps);
      EXPECT_EQ(files_[committed], chain(committed)) << "not the undisturbed run's weights";
      for (std::int64_t step = 1; step <= committed; ++step) all.push_back(step);
      EXPECT_EQ(steps_of_metrics("train"), all);
      check_measured();
      return;
    case action::Outcome::kStopped:
      EXPECT_TRUE(stop_asked_);
      EXPECT_EQ(ended_->error.code, ErrorCode::kStopped);
      return;
    case action::Outcome::kFailed:
      EXPECT_FALSE(ended_->error.message.empty());
      EXPECT_TRUE(failed_on_its_own_ || dangers_.refusal > 0 || !drive_.state().left_out.empty() ||
                  drive_.state().restarts_in_row > facts().max_restarts)
          << ended_->error.message;
  }
}

}  // namespace plumbline
