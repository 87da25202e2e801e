// Thousands of runs in which anything may go wrong, each by its seed: workers that die or fall silent at any moment,
// messages that come late, twice or from an earlier generation, stops at any time. A simulated cluster of workers in
// lockstep, as train_loop.cpp has them, answers decide(); its invariants (decide.hpp) are checked at every action.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "tests/coordinator/membership/drive.hpp"

namespace plumbline {
namespace {

using namespace std::chrono_literals;

struct FaultRates {
  int death = 0, silence = 0, failure = 0, stop = 0, stale = 0;  ///< of 10,000 turns each
  int damage = 0;                                                ///< of 100 checkpoints that are looked at again
  bool lose_order = false;  ///< a rank's death and another's complaint about it may be read in any order
};

/// One rank as it is between two turns.
struct Rank {
  std::uint64_t connection = 0;
  std::deque<Message> on_the_way;  ///< said, not yet read by the coordinator
  std::optional<Lease> lease;
  bool welcomed = false, assigned = false, alive = true, silent = false, finished = false, open = true;
};

class Cluster {
 public:
  Cluster(std::uint64_t seed, const RunFacts& facts, const FaultRates& dangers)
      : random_(seed), drive_(facts), dangers_(dangers), every_(static_cast<std::int64_t>(1 + random_() % 5)) {}

  /// Runs to the end; the outcome.
  action::EndRun run() {
    feed(event::Begin{});
    int turns = 0;
    for (; !ended_ && turns < 20'000 && !testing::Test::HasFailure(); ++turns) turn();
    EXPECT_TRUE(ended_) << "the run does not end: " << describe_phase(drive_.state()) << " at step " << step_;
    check_end();
    return ended_.value_or(action::EndRun{});
  }
  [[nodiscard]] const Drive& drive() const { return drive_; }
  [[nodiscard]] std::int64_t committed() const { return committed_; }
  [[nodiscard]] bool failed_on_its_own() const { return failed_on_its_own_; }
  [[nodiscard]] bool stop_asked() const { return stop_asked_; }
  [[nodiscard]] bool fallen_back() const { return fallen_back_; }
  [[nodiscard]] int late_parts() const { return late_parts_; }  ///< written when training had gone on

 private:
  std::uint64_t roll(std::uint64_t sides) { return random_() % sides; }
  bool happens(int in_ten_thousand) { return static_cast<int>(roll(10'000)) < in_ten_thousand; }

  void feed(const Event& event) {
    for (const Action& action : drive_.feed(event)) {
      EXPECT_FALSE(ended_ && !std::holds_alternative<action::Note>(action.what))
          << "something follows the end: " << action.reason;
      std::visit([&](const auto& what) { carry_out(what); }, action.what);
    }
  }

  void turn() {
    drive_.advance(std::chrono::milliseconds(roll(40)));
    feed(event::Tick{});
    if (ended_) return;
    if (happens(dangers_.stop)) stop_asked_ = true, feed(event::StopRequested{"test", roll(4) == 0});
    if (ended_) return;
    if (happens(dangers_.stale)) say_something_stale();
    if (ended_) return;
    if (storing_ && roll(3) == 0) return store();
    if (verifying_ && roll(3) == 0) return verify();
    if (aggregating_ && roll(3) == 0) {
      const auto step = *std::exchange(aggregating_, std::nullopt);
      return feed(event::SnapshotAggregated{step, {}, false});
    }
    if (!launched_) return;
    if (!gone_ && happens(dangers_.death)) kill(static_cast<int>(roll(ranks_.size())));
    if (!gone_ && happens(dangers_.silence)) ranks_[static_cast<std::size_t>(roll(ranks_.size()))].silent = true;
    if (!gone_ && happens(dangers_.failure)) fail_on_its_own(static_cast<int>(roll(ranks_.size())));
    switch (roll(4)) {
      case 0:
        return move_workers();
      case 1:
        return end_processes();
      default:
        return deliver();
    }
  }

  // --- the coordinator's actions

  void carry_out(const action::StartGroup& start) {
    EXPECT_FALSE(launched_ && !gone_) << "one group at a time";
    EXPECT_FALSE(storing_) << "a group starts while a checkpoint is being stored";
    for (const Rank& rank : ranks_) EXPECT_FALSE(rank.open) << "the old group's connections are gone";
    if (launched_) ++restarts_in_row_;
    EXPECT_LE(restarts_in_row_, drive_.facts().max_restarts);
    EXPECT_EQ(start.generation.value(), generation_ + 1);
    generation_ = start.generation.value();
    ranks_.assign(static_cast<std::size_t>(start.workers), Rank());
    launched_ = true, gone_ = terminated_ = false;
    step_ = -1;
    exit_status_ = 0;
    lanes_.clear();
    say_started_ = true;
  }
  void carry_out(const action::EndGroup& end) {
    terminated_ = true;
    if (!end.by_force) return;
    for (std::size_t r = 0; r < ranks_.size(); ++r) kill(static_cast<int>(r));
  }
  void carry_out(const action::Welcome& welcome) {
    EXPECT_EQ(welcome.generation.value(), generation_);
    EXPECT_FALSE(welcome.under_way) << "of a static group, all begin together";
    if (Rank* rank = find(welcome.connection)) rank->welcomed = true;
  }
  void carry_out(const action::Assign& assign) {
    EXPECT_EQ(assign.assignment.generation.value(), generation_);
    EXPECT_EQ(assign.assignment.start_step, committed_) << "a group starts from the newest committed checkpoint";
    EXPECT_EQ(assign.assignment.source, -1);
    EXPECT_EQ(assign.resume_from.has_value(), committed_ > 0);
    for (const Rank& rank : ranks_) EXPECT_NE(rank.connection, 0u) << "assigned before all are there";
    EXPECT_FALSE(verifying_) << "assigned a checkpoint that may be damaged";
    step_ = assign.assignment.start_step;
    Rank* rank = find(assign.connection);
    ASSERT_NE(rank, nullptr) << "assigned to a stranger";
    EXPECT_TRUE(rank->welcomed);
    EXPECT_EQ(assign.assignment.rank, static_cast<int>(rank - ranks_.data()));
    rank->assigned = true;
  }
  void carry_out(const action::StartWorker&) { ADD_FAILURE() << "a static group's workers come together"; }
  void carry_out(const action::KillWorker&) { ADD_FAILURE() << "a static group's workers go together"; }
  void carry_out(const action::AdoptWorker&) { ADD_FAILURE() << "a static group has no orphans"; }
  void carry_out(const action::Send& send) {
    Rank* rank = find(send.connection);
    ASSERT_NE(rank, nullptr) << "sent to a stranger";
    EXPECT_TRUE(rank->assigned);
    if (const auto* committed = std::get_if<Committed>(&send.message)) {
      EXPECT_EQ(committed->step, committed_) << "journaled first";
    }
    if (const auto* lease = std::get_if<Lease>(&send.message)) grant(*rank, *lease);
  }
  void grant(Rank& rank, const Lease& lease) {
    const auto number = static_cast<int>(&rank - ranks_.data());
    lanes_[number] = {lease.lane_begin, lease.lane_end};
    for (const auto& [other, lanes] : lanes_) {
      if (other == number) continue;
      EXPECT_TRUE(lease.lane_end <= lanes.first || lanes.second <= lease.lane_begin) << "two hold the same lane";
    }
    if (rank.lease) {
      EXPECT_GE(lease.end_step, rank.lease->end_step);
      EXPECT_FALSE(rank.lease->last) << "a lease after the last one";
      EXPECT_GT(lease.id, rank.lease->id);
    }
    EXPECT_LE(lease.end_step, drive_.facts().lease.steps);
    rank.lease = lease;
  }
  void carry_out(const action::Drop& drop) {
    Rank* rank = find(drop.connection);
    if (rank == nullptr) return;
    rank->alive = false;  // Session's on_lost ends the worker.
    rank->on_the_way.clear();
    const auto& members = drive_.state().members;
    const bool joined = std::any_of(members.begin(), members.end(),
                                    [&](const auto& member) { return member.second.connection == drop.connection; });
    if (!joined) rank->open = false;  // It was never one of the group.
  }
  void carry_out(const action::StoreCheckpoint& store) {
    EXPECT_FALSE(storing_);
    EXPECT_EQ(store.manifest.files.size(), 2u);
    const std::set<std::string>& reported = reported_[{generation_, store.manifest.step.value()}];
    EXPECT_EQ(reported.size(), 2u) << "stored before every part was reported in this generation";
    storing_ = store.manifest.step.value();
  }
  void carry_out(const action::VerifyCheckpoint&) {
    EXPECT_FALSE(verifying_) << "one at a time";
    EXPECT_FALSE(commits_.empty());
    verifying_ = true;
  }
  void carry_out(const action::PruneCheckpoints& prune) { EXPECT_EQ(prune.newest.value(), committed_); }
  void carry_out(const action::AggregateSnapshot& aggregate) { aggregating_ = aggregate.step; }
  void carry_out(const action::AppendJournal& append) {
    if (append.event == "checkpoint_set_aside") {
      EXPECT_EQ(append.data.at("step").get<std::int64_t>(), commits_.back());
      commits_.pop_back();
      committed_ = commits_.back();
    }
    if (append.event != "checkpoint_committed") return;
    EXPECT_GT(append.data.at("step").get<std::int64_t>(), committed_);
    committed_ = append.data.at("step").get<std::int64_t>();
    commits_.push_back(committed_);
    restarts_in_row_ = 0;
  }
  void carry_out(const action::AppendMetrics& append) {
    EXPECT_LE(append.line.at("step").get<std::int64_t>(), drive_.state().leases.end());
  }
  void carry_out(const action::EndRun& end) { ended_ = end; }
  void carry_out(const action::Note&) {}

  void store() {
    const std::int64_t step = *std::exchange(storing_, std::nullopt);
    feed(event::CheckpointStored{step, "w" + std::to_string(step)});
  }

  void verify() {
    verifying_ = false;
    event::CheckpointVerified verified;
    std::size_t good = commits_.size() - 1;
    for (; good > 0 && static_cast<int>(roll(100)) < dangers_.damage; --good)
      verified.set_aside.push_back({{Step(commits_[good]), "w"}, "file", "reason", "moved"});
    fallen_back_ = fallen_back_ || !verified.set_aside.empty();
    verified.checkpoint = {Step(commits_[good]), "w" + std::to_string(commits_[good])};
    feed(verified);
  }

  // --- what the workers do

  void move_workers() {
    if (gone_) return;
    if (std::exchange(say_started_, false)) return feed(event::GroupStarted{"g" + std::to_string(generation_)});
    for (std::size_t r = 0; r < ranks_.size(); ++r)
      if (ranks_[r].connection == 0 && ranks_[r].alive) {
        if (roll(2) == 0) return come(static_cast<int>(r));
        return;
      }
    // Lockstep: a step is taken when every rank can take it, so a rank that finishes elsewhere hangs the rest.
    const auto able = [&](auto&& condition) {
      return std::all_of(ranks_.begin(), ranks_.end(), [&](const Rank& rank) {
        return rank.alive && !rank.silent && rank.assigned && !rank.finished && rank.lease && condition(rank);
      });
    };
    if (failing_) return;
    if (writing_ && roll(4) == 0) return write_parts();
    if (due_) return save();
    if (able([&](const Rank& rank) { return rank.lease->end_step > step_; })) return take_step();
    if (able([&](const Rank& rank) { return rank.lease->last && step_ >= rank.lease->end_step; })) return finish();
    if (able([&](const Rank& rank) { return rank.lease->last; }))
      ADD_FAILURE() << "ranks do not agree where the run ends";
  }
  void come(int r) {
    ranks_[static_cast<std::size_t>(r)].connection = ++connections_;
    Hello hello;
    hello.rank = r, hello.world = static_cast<int>(ranks_.size()), hello.pid = 10 + r, hello.host = "here";
    hello.group = "g" + std::to_string(generation_), hello.fingerprint = "cpu";
    feed(event::WorkerCame{ConnectionId(connections_), hello});
  }
  void take_step() {
    ++step_;
    say(0, StepDone{step_, {{"kind", "train"}, {"step", step_}, {"seconds", 0.25}}});
    due_ = step_ % every_ == 0;
  }
  /// Training goes on while a checkpoint is written, but only one: the next waits until it is committed.
  void save() {
    if (saving_ > committed_) return;
    saving_ = step_;
    writing_ = true, due_ = false;
  }
  void write_parts() {
    writing_ = false;
    late_parts_ += saving_ < step_ ? 1 : 0;
    say(0, PartWritten{saving_, "model.safetensors", 1, std::string(64, 'a'), 2});
    say(static_cast<int>(1 % ranks_.size()), PartWritten{saving_, "optimizer", 1, std::string(64, 'b'), 2});
  }
  void finish() {
    due_ = saving_ < step_ && committed_ < step_;
    if (committed_ < step_) return;
    const bool stop = ranks_[0].lease->stop;
    for (std::size_t r = 0; r < ranks_.size(); ++r) {
      EXPECT_EQ(ranks_[r].lease->stop, stop) << "one rank stops, another finishes";
      if (!stop) say(static_cast<int>(r), Artifact{"snapshot_part", step_, "snapshots/part"});
      say(static_cast<int>(r), Finished{step_});
      ranks_[r].finished = true;
    }
  }
  void say(int r, Message message) {
    Rank& rank = ranks_[static_cast<std::size_t>(r)];
    if (!rank.alive) return;
    if (roll(10) == 0) rank.on_the_way.push_back(message);  // twice
    rank.on_the_way.push_back(std::move(message));
  }
  void kill(int r) {
    Rank& rank = ranks_[static_cast<std::size_t>(r)];
    if (!rank.alive) return;
    rank.alive = false;
    if (exit_status_ == 0) exit_status_ = 137;
    // Another rank may notice and complain before it is ended itself.
    const auto other = static_cast<std::size_t>(roll(ranks_.size()));
    if (!dangers_.lose_order || other == static_cast<std::size_t>(r)) return;
    if (!ranks_[other].alive || !ranks_[other].assigned) return;
    ranks_[other].on_the_way.push_back(Failed{4, "a collective broke", "", ""});
    lamented_ = r;
  }
  void fail_on_its_own(int r) {
    Rank& rank = ranks_[static_cast<std::size_t>(r)];
    const bool all_well =
        std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& one) { return one.alive && !one.silent; });
    if (!all_well || !rank.assigned || rank.finished || terminated_) return;
    rank.on_the_way.push_back(Failed{4, "the loss is not finite", "", ""});
    failed_on_its_own_ = true;
    // It leaves once that is said; then the launcher ends the others (end_processes).
    failing_ = r;
    exit_status_ = 4;
  }

  // --- the network and the processes

  /// A message or an end of a connection reaches the coordinator: in order for one connection, in any order between
  /// two.
  void deliver() {
    const auto first = roll(ranks_.size());
    for (std::uint64_t i = 0; i < ranks_.size(); ++i) {
      Rank& rank = ranks_[static_cast<std::size_t>((first + i) % ranks_.size())];
      if (rank.connection == 0 || !rank.open) continue;
      if (rank.alive && !rank.silent && roll(5) == 0)
        return read(rank, Heartbeat{std::max<std::int64_t>(step_, 0), "training"});
      if (!rank.on_the_way.empty()) {
        const Message message = rank.on_the_way.front();
        rank.on_the_way.pop_front();
        return read(rank, message);
      }
      if (!rank.alive) {
        rank.open = false;
        return feed(event::ConnectionLost{ConnectionId(rank.connection), "the connection ended"});
      }
    }
  }
  void read(const Rank& rank, const Message& message) {
    if (!rank.welcomed) return;
    if (const auto* part = std::get_if<PartWritten>(&message)) reported_[{generation_, part->step}].insert(part->file);
    feed(event::WorkerSaid{ConnectionId(rank.connection), Generation(generation_), message});
  }
  /// mpirun: one rank gone, or asked to end, and all go; then it exits itself.
  void end_processes() {
    if (gone_ || say_started_) return;
    // The end of a killed rank's connection is seen before the one that noticed has gone too: its going takes a while.
    if (lamented_ && ranks_[static_cast<std::size_t>(*lamented_)].open) return;
    if (failing_) {  // It leaves; whatever order the coordinator reads that in, the launcher's exit status is its own.
      ranks_[static_cast<std::size_t>(*std::exchange(failing_, std::nullopt))].alive = false;
      return;
    }
    const bool all_finished =
        std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.finished || !rank.alive; });
    const bool any_dead = std::any_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return !rank.alive; });
    if (!terminated_ && !any_dead && !all_finished) return;
    if (terminated_ && std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& r) { return r.silent; }) &&
        roll(3) != 0)
      return;
    for (Rank& rank : ranks_) {
      rank.alive = false;
      if (rank.connection == 0) rank.open = false;
    }
    gone_ = true;
    failing_.reset();
    lamented_.reset();
    saving_ = 0;
    writing_ = due_ = false;
    feed(event::GroupExited{exit_status_, "exited"});
  }
  void say_something_stale() {
    if (connections_ == 0) return;
    const auto connection = 1 + roll(connections_);
    const bool present =
        std::any_of(ranks_.begin(), ranks_.end(), [&](const Rank& rank) { return rank.connection == connection; });
    if (present) return;
    const std::int64_t step = static_cast<std::int64_t>(roll(30));
    feed(event::WorkerSaid{ConnectionId(connection), Generation(roll(generation_ + 1)),
                           StepDone{step, {{"kind", "train"}, {"step", step}}}});
    feed(event::WorkerSaid{ConnectionId(connection), Generation(roll(generation_ + 1)),
                           PartWritten{step, "model.safetensors", 1, std::string(64, 'c'), 1}});
    feed(event::ConnectionLost{ConnectionId(connection), "late"});
  }
  Rank* find(ConnectionId connection) {
    for (Rank& rank : ranks_)
      if (rank.connection == connection.value() && rank.open) return &rank;
    return nullptr;
  }

  void check_end() {
    if (!ended_) return;
    EXPECT_TRUE(!launched_ || gone_) << "workers are left behind";
    EXPECT_FALSE(storing_ || aggregating_ || verifying_);
    switch (ended_->outcome) {
      case action::Outcome::kFinished:
        EXPECT_EQ(committed_, drive_.facts().lease.steps);
        return;
      case action::Outcome::kStopped:
        EXPECT_TRUE(stop_asked_);
        EXPECT_EQ(ended_->error.code, ErrorCode::kStopped);
        return;
      case action::Outcome::kFailed:
        EXPECT_TRUE(failed_on_its_own_ || restarts_in_row_ == drive_.facts().max_restarts) << ended_->error.message;
        return;
    }
  }

  std::mt19937_64 random_;
  Drive drive_;
  FaultRates dangers_;
  std::int64_t every_;
  std::vector<Rank> ranks_;
  std::uint64_t generation_ = 0, connections_ = 0;
  std::int64_t step_ = -1, committed_ = 0;
  std::int64_t saving_ = 0;             ///< step whose checkpoint was begun last
  bool writing_ = false, due_ = false;  ///< its parts are not written yet; the next one is to begin
  int late_parts_ = 0;
  std::vector<std::int64_t> commits_;  ///< that stand, ascending
  int restarts_in_row_ = 0, exit_status_ = 0;
  bool launched_ = false, gone_ = false, terminated_ = false, say_started_ = false, stop_asked_ = false,
       failed_on_its_own_ = false, verifying_ = false, fallen_back_ = false;
  std::optional<int> failing_;   ///< fails on its own
  std::optional<int> lamented_;  ///< was killed, and another complained
  std::optional<std::int64_t> storing_, aggregating_;
  std::map<int, std::pair<int, int>> lanes_;
  std::map<std::pair<std::uint64_t, std::int64_t>, std::set<std::string>> reported_;
  std::optional<action::EndRun> ended_;
};

RunFacts facts_of(std::uint64_t seed) {
  RunFacts facts;
  facts.workers = static_cast<int>(1 + seed % 4);
  facts.lease.steps = static_cast<std::int64_t>(1 + seed % 17);
  facts.max_restarts = static_cast<int>(seed % 3 + 1);
  facts.worker_timeout = 10'000ms;
  facts.join_timeout = 20'000ms;
  facts.failure_grace = 5'000ms;
  facts.terminate_grace = 500ms;
  facts.drain_grace = 5'000ms;
  facts.resume_command = "resume";
  return facts;
}

TEST(FaultSchedules, WithoutFaultsEveryRunFinishes) {
  int late = 0;
  for (std::uint64_t seed = 0; seed < 500 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Cluster cluster(seed, facts_of(seed), {});
    EXPECT_EQ(cluster.run().outcome, action::Outcome::kFinished);
    EXPECT_EQ(cluster.drive().all<action::StartGroup>().size(), 1u);
    late += cluster.late_parts();
  }
  EXPECT_GT(late, 300) << "training goes on while a checkpoint is written";
}

TEST(FaultSchedules, DeathsAreSurvivedOrCounted) {
  int finished = 0, restarted = 0;
  for (std::uint64_t seed = 0; seed < 1500 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Cluster cluster(seed, facts_of(seed), {.death = 60, .silence = 10, .stale = 200, .lose_order = true});
    finished += cluster.run().outcome == action::Outcome::kFinished ? 1 : 0;
    restarted += cluster.drive().state().restarts > 0 ? 1 : 0;
  }
  EXPECT_GT(finished, 300);
  EXPECT_GT(restarted, 500) << "the schedules hold deaths";
}

TEST(FaultSchedules, DamagedCheckpointsCostStepsAndNothingElse) {
  int finished = 0, fallen_back = 0;
  for (std::uint64_t seed = 0; seed < 1500 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Cluster cluster(seed, facts_of(seed), {.death = 60, .stop = 5, .stale = 200, .damage = 30});
    finished += cluster.run().outcome == action::Outcome::kFinished ? 1 : 0;
    fallen_back += cluster.fallen_back() ? 1 : 0;
  }
  EXPECT_GT(finished, 300);
  EXPECT_GT(fallen_back, 100) << "the schedules hold damage";
}

TEST(FaultSchedules, StopsAtAnyTime) {
  int stopped = 0;
  for (std::uint64_t seed = 0; seed < 1500 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Cluster cluster(seed, facts_of(seed), {.stop = 80, .stale = 100});
    const auto outcome = cluster.run().outcome;
    EXPECT_NE(outcome, action::Outcome::kFailed);
    stopped += outcome == action::Outcome::kStopped ? 1 : 0;
  }
  EXPECT_GT(stopped, 500);
}

TEST(FaultSchedules, AWorkersOwnErrorEndsTheRunAtOnce) {
  int failed = 0;
  for (std::uint64_t seed = 0; seed < 1000 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Cluster cluster(seed, facts_of(seed), {.failure = 60});
    const auto outcome = cluster.run().outcome;
    if (!cluster.failed_on_its_own()) continue;
    ++failed;
    EXPECT_EQ(outcome, action::Outcome::kFailed);
    EXPECT_EQ(cluster.drive().all<action::StartGroup>().size(), 1u) << "it would fail again";
  }
  EXPECT_GT(failed, 200);
}

TEST(FaultSchedules, EverythingAtOnce) {
  std::map<action::Outcome, int> outcomes;
  for (std::uint64_t seed = 0; seed < 2500 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Cluster cluster(
        seed, facts_of(seed),
        {.death = 30, .silence = 5, .failure = 5, .stop = 15, .stale = 200, .damage = 10, .lose_order = true});
    ++outcomes[cluster.run().outcome];
  }
  EXPECT_EQ(outcomes.size(), 3u) << "runs of every outcome";
}

}  // namespace
}  // namespace plumbline
