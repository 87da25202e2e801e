// Workers beyond those that train: prepared, and waiting for one to be lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/membership/drive.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;

/// Two workers train and have taken four steps, and one more is wanted as a spare.
class SparesTest : public testing::Test {
 protected:
  SparesTest() : drive(facts()) {
    drive.feed(event::Begin{});
    drive.feed(event::GroupStarted{"g1"});
    for (int number = 0; number < 2; ++number) come(number), say(number, Ready{});
    take_steps(0, 0, 4);
  }
  static RunFacts facts() {
    RunFacts facts;
    facts.elastic = true;
    facts.workers = 2;
    facts.spares = 1;
    facts.lease.steps = 50;
    return facts;
  }
  static ConnectionId connection(int number) { return ConnectionId(static_cast<std::uint64_t>(number + 1)); }
  void come(int number) {
    Hello hello;
    hello.rank = number, hello.world = 0, hello.pid = 1000 + number, hello.host = "here", hello.group = "g1";
    hello.mesh = "here:" + std::to_string(4000 + number), hello.fingerprint = "cpu";
    drive.feed(event::WorkerCame{connection(number), hello});
  }
  void say(int number, Message message) {
    drive.feed(event::WorkerSaid{connection(number), drive.state().generation, std::move(message)});
  }
  void take_steps(int leader, std::int64_t from, std::int64_t to) {
    for (std::int64_t step = from + 1; step <= to; ++step)
      say(leader, StepDone{step, {{"kind", "train"}, {"step", step}, {"seconds", 1.0}}});
  }
  void die(int number) {
    drive.feed(event::ConnectionLost{connection(number), "the connection ended"});
    drive.feed(event::WorkerExited{number, 137, "was ended by SIGKILL"});
  }
  [[nodiscard]] std::vector<int> launched() const {
    std::vector<int> numbers;
    for (const auto& start : drive.all<action::StartWorker>()) numbers.push_back(start.number);
    return numbers;
  }
  [[nodiscard]] std::vector<int> members() const {
    std::vector<int> numbers;
    for (const auto& [rank, member] : drive.state().members) numbers.push_back(member.number);
    return numbers;
  }

  Drive drive;
};

TEST_F(SparesTest, AreLaunchedOnceThereIsAStepAndWait) {
  EXPECT_EQ(drive.all<action::StartGroup>().front().workers, 2);
  EXPECT_THAT(launched(), ElementsAre(2));
  come(2), say(2, Ready{});
  take_steps(0, 4, 12);
  EXPECT_EQ(drive.state().generation, Generation(1)) << "training is not interrupted for it";
  EXPECT_FALSE(drive.state().leases.regroups());
  EXPECT_THAT(members(), ElementsAre(0, 1));
}

TEST_F(SparesTest, OneTakesTheLostOnesPlaceAtOnce) {
  come(2), say(2, Ready{});
  die(1);
  say(0, Ready{4, "aa"});
  EXPECT_THAT(members(), ElementsAre(0, 2));
  EXPECT_EQ(drive.state().generation, Generation(2));
  EXPECT_THAT(launched(), ElementsAre(2, 1));
  come(1), say(1, Ready{});
  take_steps(0, 4, 12);
  EXPECT_EQ(drive.state().generation, Generation(2)) << "the new one is the spare now";
}

TEST_F(SparesTest, AGroupOfThemAloneBeginsFromTheFiles) {
  come(2), say(2, Ready{});
  die(0), die(1);
  come(0), say(0, Ready{});
  EXPECT_THAT(members(), ElementsAre(0, 2));
  EXPECT_EQ(drive.all<action::Assign>().back().assignment.source, -1);
}

TEST_F(SparesTest, AreNotNeededAtTheEnd) {
  come(2), say(2, Ready{});
  drive.feed(event::StopRequested{"test", true});
  for (int number = 0; number < 3; ++number) die(number);
  EXPECT_EQ(drive.all<action::EndRun>().size(), 1u);
}

}  // namespace
}  // namespace plumbline
