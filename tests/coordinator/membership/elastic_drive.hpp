// Drives decide() for an elastic group, by the numbers of its workers.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/coordinator/membership/drive.hpp"

namespace plumbline {

/// Workers by number; worker n is on connection 100 n + how often it has come.
class ElasticTest : public testing::Test {
 protected:
  explicit ElasticTest(int workers = 3) : drive(facts_of(workers)), comings_(static_cast<std::size_t>(workers), 0) {
    drive.feed(event::Begin{});
    drive.feed(event::GroupStarted{"g1"});
  }
  static RunFacts facts_of(int workers) {
    RunFacts facts;
    facts.elastic = true;
    facts.workers = workers;
    facts.lease.steps = 20;
    facts.launcher = "local";
    facts.resume_command = "plumbline resume RUN";
    facts.log_place = "RUN/logs/launcher.log";
    return facts;
  }
  [[nodiscard]] ConnectionId connection(int number) const {
    return ConnectionId(static_cast<std::uint64_t>(100 * (number + 1) + comings_.at(static_cast<std::size_t>(number))));
  }
  std::vector<Action> come(int number, const std::string& fingerprint = "cpu", const std::string& host = "here") {
    ++comings_.at(static_cast<std::size_t>(number));
    Hello hello;
    hello.rank = number, hello.world = 0, hello.pid = 1000 + number, hello.host = host, hello.group = "g1";
    hello.mesh = "here:" + std::to_string(4000 + number), hello.fingerprint = fingerprint;
    return drive.feed(event::WorkerCame{connection(number), hello});
  }
  std::vector<Action> say(int number, Message message) {
    return drive.feed(event::WorkerSaid{connection(number), drive.state().generation, std::move(message)});
  }
  std::vector<Action> ready(int number, std::int64_t step = -1) {
    return say(number, step < 0 ? Ready{} : Ready{step, "aa"});
  }
  std::vector<Action> hang_up(int number) {
    return drive.feed(event::ConnectionLost{connection(number), "the connection ended"});
  }
  std::vector<Action> exit(int number, int status = 137) {
    return drive.feed(event::WorkerExited{number, status, "exited with status " + std::to_string(status)});
  }
  void die(int number) { hang_up(number), exit(number); }
  void begin(int workers) {
    for (int number = 0; number < workers; ++number) come(number), ready(number);
  }
  void take_steps(int leader, std::int64_t from, std::int64_t to) {
    for (std::int64_t step = from + 1; step <= to; ++step)
      say(leader, StepDone{step, {{"kind", "train"}, {"step", step}, {"seconds", 1.0}}});
  }
  void checkpoint(int leader, std::int64_t step) {
    for (const char* file : {"a", "model.safetensors"})
      say(leader, PartWritten{step, file, 1, std::string(64, 'a'), 2});
    drive.feed(event::CheckpointStored{step, "w" + std::to_string(step)});
  }
  /// The newest assignments, by rank.
  [[nodiscard]] std::vector<Assignment> assignments() const {
    std::vector<Assignment> newest;
    for (const auto& assign : drive.all<action::Assign>()) {
      if (assign.assignment.rank == 0) newest.clear();
      newest.push_back(assign.assignment);
      newest.back().mesh = *assign.mesh;
    }
    return newest;
  }
  static int regroups(const std::vector<Action>& actions) {
    int count = 0;
    for (const auto& send : Drive::of<action::Send>(actions))
      count += std::holds_alternative<Regroup>(send.message) ? 1 : 0;
    return count;
  }
  static std::string refusal(const std::vector<Action>& actions) {
    const auto drops = Drive::of<action::Drop>(actions);
    return drops.size() == 1 && drops[0].farewell ? drops[0].farewell->message : std::string();
  }

  Drive drive;
  std::vector<int> comings_;
};

/// Three workers have taken four steps.
class TrainingTest : public ElasticTest {
 protected:
  TrainingTest() {
    begin(3);
    take_steps(0, 0, 4);
    drive.forget();
  }
};

}  // namespace plumbline
