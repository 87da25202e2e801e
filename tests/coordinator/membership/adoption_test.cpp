// A coordinator that takes over the workers of the one before it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/membership/drive.hpp"

namespace plumbline {
namespace {

/// The journal's last generation is the second; its workers, all of one host, come on connections of their numbers.
class AdoptionTest : public testing::Test {
 protected:
  explicit AdoptionTest(int orphans = 2) : drive(facts_of(orphans)) {
    drive.state().generation = Generation(2);
    drive.state().group = "g";
    drive.state().checkpoint = CommittedCheckpoint{Step(8), "w8"};
    drive.state().recorded = 9;
    drive.feed(event::Begin{});
  }
  static RunFacts facts_of(int orphans) {
    RunFacts facts;
    facts.elastic = true;
    facts.workers = 2;
    facts.orphans = orphans;
    facts.lease.steps = 20;
    facts.launcher = "local";
    return facts;
  }
  /// `generation`: that it was in. A process that is not the first of its number has a connection and a pid of its own.
  std::vector<Action> come(int number, std::uint64_t generation = 2, int process = 0) {
    Hello hello;
    hello.rank = number, hello.world = 0, hello.pid = 1000 + number + 100 * process, hello.host = "here";
    hello.group = "g", hello.generation = Generation(generation);
    hello.mesh = "here:" + std::to_string(4000 + number), hello.fingerprint = "cpu";
    return drive.feed(event::WorkerCame{ConnectionId(static_cast<std::uint64_t>(number + 1 + 100 * process)), hello});
  }
  std::vector<Action> say(int number, Message message) {
    return drive.feed(
        event::WorkerSaid{ConnectionId(static_cast<std::uint64_t>(number + 1)), Generation(2), std::move(message)});
  }

  Drive drive;
};

TEST_F(AdoptionTest, TheyGoOnFromTheNewestStepThatOneHolds) {
  come(0), come(1);
  say(0, Ready{10, "aa"});
  EXPECT_TRUE(drive.all<action::Assign>().empty()) << "the other is waited for";
  say(1, Ready{11, "bb"});
  const auto assigned = drive.all<action::Assign>();
  ASSERT_EQ(assigned.size(), 2u);
  EXPECT_EQ(assigned[0].assignment.start_step, 11);
  EXPECT_EQ(assigned[0].connection, ConnectionId(2)) << "its holder leads";
  EXPECT_FALSE(assigned[0].resume_from) << "not from the files";
  EXPECT_EQ(assigned[0].assignment.generation, Generation(3));
}

/// The connection is new before the thread that trains knows it: what it says of a step still goes over it.
TEST_F(AdoptionTest, WhatOneSaysBeforeItHasLeftItsGenerationIsNoReasonToCutItOff) {
  come(0), come(1);
  const std::vector<Message> late = {StepDone{10, {{"kind", "train"}, {"step", 10}}},
                                     PartWritten{10, "model.safetensors", 1, std::string(64, 'a'), 2},
                                     Artifact{"snapshot_part", 10, "snapshots/part"}, NcclId{"00"}, Finished{10}};
  for (const Message& message : late)
    for (const Action& action : say(0, message))
      EXPECT_FALSE(std::holds_alternative<action::Drop>(action.what)) << message_name(message) << ": " << action.reason;
  EXPECT_EQ(drive.state().recorded, 9) << "it is said again in the next generation";
  say(0, Ready{10, "aa"}), say(1, Ready{10, "aa"});
  EXPECT_EQ(drive.all<action::Assign>().size(), 2u);
  EXPECT_TRUE(drive.all<action::KillWorker>().empty());
}

TEST_F(AdoptionTest, WhoDoesNotComeIsLaunched) {
  come(0);
  say(0, Ready{10, "aa"});
  drive.pass(drive.facts().adopt_timeout + std::chrono::milliseconds(1));
  say(0, Heartbeat{10, "between generations"});
  const auto launched = drive.all<action::StartWorker>();
  ASSERT_EQ(launched.size(), 1u);
  EXPECT_EQ(launched[0].number, 1);
  EXPECT_EQ(drive.all<action::Assign>().size(), 1u) << "training does not wait for it";
}

TEST_F(AdoptionTest, AProcessThatWasStillStartingIsTakenOverAndNotWaitedFor) {
  come(0);
  const auto actions = come(1, /*generation=*/0);
  EXPECT_TRUE(Drive::of<action::Drop>(actions).empty());
  ASSERT_EQ(Drive::of<action::AdoptWorker>(actions).size(), 1u);
  EXPECT_TRUE(Drive::of<action::Welcome>(actions).at(0).under_way) << "it prepares while the others train";
  say(0, Ready{10, "aa"});
  ASSERT_EQ(drive.all<action::Assign>().size(), 1u) << "it holds nothing that is worth waiting for";
  EXPECT_FALSE(Drive::of<action::Drop>(say(1, Ready{10, "bb"})).empty()) << "nor may it";
}

TEST_F(AdoptionTest, WhatIsOlderThanTheCheckpointIsNotGoneOnWith) {
  come(0), come(1);
  say(0, Ready{7, "aa"}), say(1, Ready{});
  const auto assigned = drive.all<action::Assign>();
  ASSERT_EQ(assigned.size(), 2u);
  EXPECT_EQ(assigned[0].assignment.start_step, 8);
  EXPECT_EQ(assigned[0].assignment.source, -1);
  EXPECT_EQ(assigned[0].resume_from, Step(8)) << "which was verified when the run was opened";
}

/// A line of a measurement voids the lines of later steps for whoever reads the metrics.
TEST_F(AdoptionTest, StepsAfterOneThatIsMeasuredAgainAreRecordedAgain) {
  drive.state().measured = 9;
  come(0), come(1);
  say(0, Ready{8, "aa"}), say(1, Ready{8, "aa"});
  const auto assigned = drive.all<action::Assign>();
  ASSERT_EQ(assigned.size(), 2u);
  EXPECT_EQ(assigned[0].assignment.measured, 8);
  EXPECT_EQ(assigned[0].assignment.recorded, 8);
}

TEST_F(AdoptionTest, AStepThatIsTakenAgainIsNotRecordedAgain) {
  drive.state().measured = 8;
  come(0), come(1);
  say(0, Ready{8, "aa"}), say(1, Ready{8, "aa"});
  const auto assigned = drive.all<action::Assign>();
  ASSERT_EQ(assigned.size(), 2u);
  EXPECT_EQ(assigned[0].assignment.recorded, 9);
}

/// The worker was taken for lost and another was launched in its place; then it comes after all.
TEST_F(AdoptionTest, OfTwoProcessesOfOneNumberTheFirstToComeStays) {
  come(0);
  say(0, Ready{10, "aa"});
  drive.pass(drive.facts().adopt_timeout + std::chrono::milliseconds(1));
  ASSERT_EQ(drive.all<action::StartWorker>().size(), 1u);
  EXPECT_TRUE(Drive::of<action::Drop>(come(1)).empty());
  const auto refused = Drive::of<action::Drop>(come(1, /*generation=*/0, /*process=*/1));
  ASSERT_EQ(refused.size(), 1u);
  drive.forget();
  drive.feed(event::WorkerExited{1, 2, "exited with status 2"});
  const auto adopted = drive.all<action::AdoptWorker>();
  ASSERT_EQ(adopted.size(), 1u) << "from now on the first one is watched";
  EXPECT_EQ(adopted[0].pid, 1001);
  EXPECT_TRUE(drive.all<action::StartWorker>().empty());
  drive.feed(event::WorkerExited{1, 1, "cannot be watched"});
  EXPECT_TRUE(drive.all<action::StartWorker>().empty()) << "what it said last is read first";
  drive.feed(event::ConnectionLost{ConnectionId(2), "the connection ended"});
  EXPECT_EQ(drive.all<action::StartWorker>().size(), 1u);
  EXPECT_TRUE(drive.state().left_out.empty()) << "it has not refused to start";
}

TEST_F(AdoptionTest, WhatWasRefusedAsASecondProcessDoesNotCountAsOneThatCannotStart) {
  come(0), come(1);
  come(1, /*generation=*/0, /*process=*/1);
  say(0, Ready{10, "aa"}), say(1, Ready{10, "aa"});
  drive.feed(event::ConnectionLost{ConnectionId(2), "the connection ended"});
  drive.forget();
  drive.feed(event::WorkerExited{1, 2, "exited with status 2"});
  EXPECT_EQ(drive.all<action::StartWorker>().size(), 1u);
}

/// Three have outlived their coordinator, and the next one is asked for two.
class SurplusTest : public AdoptionTest {
 protected:
  SurplusTest() : AdoptionTest(3) {}
  [[nodiscard]] std::vector<ConnectionId> dismissed() const {
    std::vector<ConnectionId> connections;
    for (const auto& send : drive.all<action::Send>())
      if (std::holds_alternative<Dismissal>(send.message)) connections.push_back(send.connection);
    return connections;
  }
  void take_over() {
    for (const int number : {0, 1, 2}) come(number);
    say(0, Ready{10, "aa"}), say(1, Ready{10, "aa"}), say(2, Ready{11, "bb"});
  }
};

TEST_F(SurplusTest, WhoIsOneTooManyGoesAndIsNotReplaced) {
  take_over();
  EXPECT_EQ(drive.all<action::Assign>().size(), 2u);
  EXPECT_EQ(drive.all<action::Assign>()[0].assignment.start_step, 11) << "no step is lost";
  EXPECT_THAT(dismissed(), testing::ElementsAre(ConnectionId(2))) << "worker 1 holds the older step";
  EXPECT_THAT(drive.reasons(), testing::Contains(testing::HasSubstr("worker 1 is one more than the 2 workers")));
  EXPECT_TRUE(drive.all<action::StartWorker>().empty());
  drive.feed(event::ConnectionLost{ConnectionId(2), "the connection ended"});
  drive.feed(event::WorkerExited{1, 0, "exited with status 0"});
  say(2, Heartbeat{11, "training"});
  EXPECT_TRUE(drive.all<action::StartWorker>().empty());
  EXPECT_EQ(drive.state().phase, GroupPhase::kTraining) << "the others go on";
  EXPECT_EQ(dismissed().size(), 1u);
}

TEST_F(SurplusTest, WhoIsToGoTakesNoLostOnesPlace) {
  take_over();
  drive.feed(event::ConnectionLost{ConnectionId(1), "the connection ended"});
  drive.feed(event::WorkerExited{0, 137, "was ended by SIGKILL"});
  drive.feed(event::WorkerSaid{ConnectionId(3), drive.state().generation, Ready{11, "bb"}});
  EXPECT_EQ(drive.all<action::Assign>().back().assignment.world, 1);
  ASSERT_EQ(drive.all<action::StartWorker>().size(), 1u);
  EXPECT_EQ(drive.all<action::StartWorker>()[0].number, 0);
}

TEST_F(SurplusTest, AsASpareOneStays) {
  drive.facts().spares = 1;
  take_over();
  EXPECT_TRUE(dismissed().empty());
  EXPECT_EQ(drive.state().newcomers.size(), 1u);
}

TEST_F(SurplusTest, NobodyIsLaunchedForANumberThatIsNotNeeded) {
  drive.facts().orphans = 2;
  come(1), come(2);
  say(1, Ready{10, "aa"}), say(2, Ready{10, "aa"});
  EXPECT_EQ(drive.all<action::Assign>().size(), 2u);
  EXPECT_TRUE(drive.all<action::StartWorker>().empty()) << "two of numbers 1 and 2 are two";
  EXPECT_TRUE(dismissed().empty());
}

TEST_F(AdoptionTest, AStopWhileTheyAreWaitedForUndoesNoStep) {
  come(0);
  drive.feed(event::StopRequested{"SIGINT"});
  EXPECT_TRUE(drive.all<action::EndGroup>().empty());
  say(0, Ready{11, "aa"});
  drive.pass(drive.facts().adopt_timeout + std::chrono::milliseconds(1));
  EXPECT_TRUE(drive.all<action::StartWorker>().empty()) << "nobody is launched for a run that stops";
  ASSERT_EQ(drive.all<action::Assign>().size(), 1u);
  EXPECT_EQ(drive.all<action::Assign>()[0].assignment.start_step, 11);
  EXPECT_TRUE(drive.leases().back().stop) << "after a checkpoint of what it holds";
}

TEST_F(AdoptionTest, AStopWhenNobodyComesEndsTheRun) {
  drive.feed(event::StopRequested{"SIGINT"});
  EXPECT_TRUE(drive.all<action::EndRun>().empty());
  drive.pass(drive.facts().adopt_timeout + std::chrono::milliseconds(1));
  EXPECT_EQ(drive.ended().outcome, action::Outcome::kStopped);
}

TEST_F(AdoptionTest, WhoIsOutOfReachDoesNotHoldUpTheEnd) {
  come(0), come(1);
  drive.feed(event::StopRequested{"SIGTERM", /*at_once=*/true});
  for (const int number : {0, 1}) drive.feed(event::WorkerExited{number, 1, "is on another host, out of reach"});
  drive.pass(drive.facts().drain_grace + std::chrono::milliseconds(1));
  EXPECT_EQ(drive.all<action::Drop>().size(), 2u);
  for (const std::uint64_t connection : {1, 2}) drive.feed(event::ConnectionLost{ConnectionId(connection), "ended"});
  EXPECT_EQ(drive.ended().outcome, action::Outcome::kStopped);
}

}  // namespace
}  // namespace plumbline
