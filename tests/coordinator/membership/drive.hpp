// Drives decide() in a test: holds the state and a clock that the test sets, and collects the actions.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "coordinator/membership/decide.hpp"

namespace plumbline {

class Drive {
 public:
  explicit Drive(RunFacts facts) : facts_(std::move(facts)) {}

  std::vector<Action> feed(const Event& event) {
    Decision decision = decide(facts_, std::move(state_), event, now_);
    state_ = std::move(decision.state);
    for (const Action& action : decision.actions) {
      EXPECT_FALSE(action.reason.empty()) << "every action has a reason";
      all_.push_back(action);
    }
    return std::move(decision.actions);
  }
  void advance(std::chrono::milliseconds time) { now_ += time; }
  /// Another coordinator, which knows this.
  void begin_again(RunState state) { state_ = std::move(state); }
  void pass(std::chrono::milliseconds time) {
    advance(time);
    feed(event::Tick{});
  }

  /// A group of `world` workers is launched and has joined, and the checkpoint that it resumes from is whole; rank r on
  /// connection `base` + r.
  void join(int world, std::uint64_t base = 100, const std::string& fingerprint = "cpu") {
    feed(event::GroupStarted{facts_.supervised ? "g" + std::to_string(state_.generation.value()) : ""});
    base_ = base;
    if (state_.verifying) verify();
    for (int rank = 0; rank < world; ++rank) come(rank, world, fingerprint);
  }
  std::vector<Action> come(int rank, int world, const std::string& fingerprint = "cpu") {
    Hello hello;
    hello.rank = rank, hello.world = world, hello.pid = 1000 + rank, hello.host = "here";
    hello.group = "g" + std::to_string(state_.generation.value());
    hello.fingerprint = fingerprint;
    return feed(event::WorkerCame{connection(rank), hello});
  }
  std::vector<Action> say(int rank, Message message) {
    return feed(event::WorkerSaid{connection(rank), state_.generation, std::move(message)});
  }
  std::vector<Action> lose(int rank) { return feed(event::ConnectionLost{connection(rank), "the connection ended"}); }
  void take_steps(std::int64_t from, std::int64_t to) {
    for (std::int64_t step = from + 1; step <= to; ++step)
      say(0, StepDone{step, {{"kind", "train"}, {"seconds", 1.0}}});
  }
  /// Both parts of a checkpoint of two, and its storing.
  void checkpoint(std::int64_t step) {
    for (const char* file : {"a", "model.safetensors"}) say(0, PartWritten{step, file, 1, std::string(64, 'a'), 2});
    feed(event::CheckpointStored{step, std::string(64, 'a')});
  }
  /// The checkpoint where the group resumes is as it was committed.
  std::vector<Action> verify() { return feed(event::CheckpointVerified{*state_.checkpoint, {}}); }
  void exit(int status) { feed(event::GroupExited{status, "exited with status " + std::to_string(status)}); }

  [[nodiscard]] ConnectionId connection(int rank) const {
    return ConnectionId(base_ + static_cast<std::uint64_t>(rank));
  }
  [[nodiscard]] const RunState& state() const { return state_; }
  RunState& state() { return state_; }
  [[nodiscard]] const RunFacts& facts() const { return facts_; }
  RunFacts& facts() { return facts_; }

  template <class What>
  static std::vector<What> of(const std::vector<Action>& actions) {
    std::vector<What> found;
    for (const Action& action : actions)
      if (const auto* what = std::get_if<What>(&action.what)) found.push_back(*what);
    return found;
  }
  template <class What>
  [[nodiscard]] std::vector<What> all() const {
    return of<What>(all_);
  }
  /// Names of the events that the journal was given, in order.
  [[nodiscard]] std::vector<std::string> journal() const {
    std::vector<std::string> events;
    for (const auto& append : all<action::AppendJournal>()) events.push_back(append.event);
    return events;
  }
  [[nodiscard]] std::vector<Lease> leases() const {
    std::vector<Lease> leases;
    for (const auto& send : all<action::Send>())
      if (const auto* lease = std::get_if<Lease>(&send.message)) leases.push_back(*lease);
    return leases;
  }
  /// Why each action was taken, in order.
  [[nodiscard]] std::vector<std::string> reasons() const {
    std::vector<std::string> reasons;
    for (const Action& action : all_) reasons.push_back(action.reason);
    return reasons;
  }
  void forget() { all_.clear(); }
  /// The one EndRun so far.
  [[nodiscard]] action::EndRun ended() const {
    const auto ends = all<action::EndRun>();
    EXPECT_EQ(ends.size(), 1u);
    return ends.empty() ? action::EndRun{} : ends.front();
  }

 private:
  RunFacts facts_;
  RunState state_;
  SteadyTime now_ = SteadyTime(std::chrono::hours(1));
  std::uint64_t base_ = 100;
  std::vector<Action> all_;
};

}  // namespace plumbline
