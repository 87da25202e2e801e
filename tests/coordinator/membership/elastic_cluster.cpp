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
  for (const Action& action : drive_.feed(event)) {
    EXPECT_FALSE(ended_ && !std::holds_alternative<action::Note>(action.what))
        << "something follows the end: " << action.reason;
    std::visit([&](const auto& what) { carry_out(what); }, action.what);
  }
}

void ElasticCluster::turn() {
  if (happens(dangers_.jump)) drive_.advance(std::chrono::minutes(1 + roll(3)));
  if (roll(4) == 0) {
    drive_.advance(std::chrono::milliseconds(roll(80)));
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
        if (!worker.unread.empty() && roll(2) == 0) return read(worker);
        return act(worker);
      }
  }
}

/// Perhaps something goes wrong.
void ElasticCluster::wreck() {
  if (happens(dangers_.stop)) {
    stop_asked_ = true;
    feed(event::StopRequested{"test", roll(6) == 0});
  }
  if (ended_) return;
  if (happens(dangers_.stale)) say_something_stale();
  if (ended_ || workers_.empty()) return;
  const auto one = [&]() -> Worker& { return workers_[static_cast<std::size_t>(roll(workers_.size()))]; };
  if (happens(dangers_.death)) leave_world(one(), 137);
  if (happens(dangers_.death / 4))  // several at once
    for (Worker& worker : workers_)
      if (roll(3) != 0) leave_world(worker, 137);
  if (happens(dangers_.silence)) one().suspended = true;
  if (!happens(dangers_.failure)) return;
  Worker& failing = one();
  if (!failing.alive || failing.suspended || failing.connection == 0 || failing.at == At::kWelcome) return;
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
  std::size_t good = commits_.size() - 1;
  for (; good > 0 && static_cast<int>(roll(100)) < dangers_.damage; --good)
    verified.set_aside.push_back({{Step(commits_[good]), "w"}, "file", "reason", "moved"});
  fallen_back_ = fallen_back_ || !verified.set_aside.empty();
  verified.checkpoint = {Step(commits_[good]), "w" + std::to_string(commits_[good])};
  feed(verified);
  return true;
}

void ElasticCluster::launch(int number) {
  EXPECT_EQ(running(number), nullptr) << "worker " << number << " runs already";
  Worker worker;
  worker.number = number;
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
  if (const auto mesh = meshes_.find(worker.spoken); mesh != meshes_.end())
    for (const std::size_t rank : mesh->second.ranks)
      if (&workers_[rank] == &worker) mesh->second.broken = true;
}

/// The coordinator reads from one connection.
bool ElasticCluster::read_one() {
  for (std::uint64_t i = 0, first = roll(workers_.size()); i < workers_.size(); ++i) {
    Worker& worker = workers_[static_cast<std::size_t>((first + i) % workers_.size())];
    if (!worker.open) continue;
    if (worker.dropped || (!worker.alive && worker.said.empty())) {
      worker.open = false;
      feed(event::ConnectionLost{ConnectionId(worker.connection), "the connection ended"});
      return true;
    }
    const bool beats = worker.alive && !worker.suspended && worker.at != At::kWelcome;
    if (worker.said.empty() && !beats) continue;
    auto [generation, message] =
        std::pair<std::uint64_t, Message>(worker.spoken, Heartbeat{std::max<std::int64_t>(worker.step, 0), "training"});
    if (!worker.said.empty() && roll(6) != 0) {
      std::tie(generation, message) = worker.said.front();
      worker.said.pop_front();
    }
    if (!beats && std::holds_alternative<Heartbeat>(message)) continue;
    if (const auto* part = std::get_if<PartWritten>(&message)) reported_[{generation, part->step}].insert(part->file);
    feed(event::WorkerSaid{ConnectionId(worker.connection), Generation(generation), message});
    return true;
  }
  return false;
}

bool ElasticCluster::report_exit() {
  for (std::uint64_t i = 0, first = roll(workers_.size()); i < workers_.size(); ++i) {
    Worker& worker = workers_[static_cast<std::size_t>((first + i) % workers_.size())];
    if (worker.alive || worker.reported) continue;
    worker.reported = true;
    feed(event::WorkerExited{worker.number, worker.status, "exited with status " + std::to_string(worker.status)});
    return true;
  }
  return false;
}

/// From a connection that has ended, or that never was.
void ElasticCluster::say_something_stale() {
  const ConnectionId connection(1 + roll(connections_ + 2));
  if (find(connection) != nullptr) return;
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

ElasticCluster::Worker* ElasticCluster::find(ConnectionId connection) {
  for (Worker& worker : workers_)
    if (worker.connection == connection.value() && worker.open) return &worker;
  return nullptr;
}

/// The process of this number that the coordinator has not seen ending.
ElasticCluster::Worker* ElasticCluster::running(int number) {
  for (Worker& worker : workers_)
    if (worker.number == number && !worker.reported) return &worker;
  return nullptr;
}

void ElasticCluster::check_end() {
  if (!ended_) return;
  for (const Worker& worker : workers_) EXPECT_TRUE(worker.reported) << "a worker is left behind";
  EXPECT_FALSE(storing_ || !aggregating_.empty() || verifying_);
  const std::int64_t committed = commits_.empty() ? 0 : commits_.back();
  switch (ended_->outcome) {
    case action::Outcome::kFinished:
      EXPECT_EQ(committed, facts().lease.steps);
      EXPECT_EQ(files_[committed], chain(committed)) << "not the undisturbed run's weights";
      for (std::int64_t step = 1; step <= committed; ++step)
        EXPECT_TRUE(trained_lines_.contains(step)) << "the metrics lack step " << step;
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
