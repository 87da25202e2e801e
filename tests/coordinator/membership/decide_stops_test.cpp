// Scripted schedules of a static group that is stopped, resumed, or started by a person.
#include "coordinator/membership/decide.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/membership/decide_fixture.hpp"

namespace plumbline {
namespace {

using action::Outcome;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
TEST_F(DecideTest, AStopLetsTheGrantedStepsBeTaken) {
  drive.take_steps(0, 3);
  drive.forget();
  drive.feed(event::StopRequested{"plumbline stop"});
  const auto leases = drive.leases();
  ASSERT_EQ(leases.size(), 2u);
  for (const Lease& lease : leases) {
    EXPECT_TRUE(lease.last && lease.stop);
    EXPECT_EQ(lease.end_step, 5);
  }
  drive.feed(event::StopRequested{"plumbline stop"});
  EXPECT_EQ(drive.leases().size(), 2u) << "asked twice, said once";
  drive.take_steps(3, 5);
  drive.checkpoint(5);
  for (int rank : {0, 1}) drive.say(rank, Finished{5});
  drive.exit(0);
  for (int rank : {0, 1}) drive.lose(rank);
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
  EXPECT_EQ(drive.ended().error.code, ErrorCode::kStopped);
  EXPECT_EQ(drive.ended().error.message, "stopped by request at step 5; resume with: plumbline resume RUN");
  EXPECT_THAT(drive.journal(),
              ElementsAre("stop_requested", "checkpoint_committed", "generation_ended", "run_stopped"));
}

TEST_F(DecideTest, AStopBeforeTheFirstStepEndsAtOnce) {
  const auto actions = drive.feed(event::StopRequested{"SIGINT"});
  EXPECT_EQ(Drive::of<action::EndGroup>(actions).size(), 1u);
  drive.lose(0), drive.lose(1);
  drive.exit(143);
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
  EXPECT_THAT(drive.journal(), Not(Contains("worker_lost")));
}

TEST(Decide, AStopBeforeTheGroupHasJoined) {
  Drive drive(static_facts());
  drive.feed(event::Begin{});
  drive.feed(event::GroupStarted{"g1"});
  drive.come(0, 2);
  drive.feed(event::StopRequested{"SIGTERM"});
  drive.lose(0);
  drive.exit(143);
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
}

TEST_F(DecideTest, AStopInTheFinalEvaluationWaitsForTheCheckpoint) {
  drive.take_steps(0, 8);
  drive.forget();
  drive.feed(event::StopRequested{"SIGINT"});
  EXPECT_TRUE(drive.leases().empty()) << "the last lease cannot be changed";
  EXPECT_TRUE(drive.all<action::EndGroup>().empty());
  drive.checkpoint(8);
  EXPECT_EQ(drive.all<action::EndGroup>().size(), 1u);
  drive.lose(0), drive.lose(1);
  drive.exit(143);
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
  EXPECT_THAT(drive.ended().error.message, HasSubstr("step 8"));
}

TEST_F(DecideTest, AStopThatComesTooLateFinishes) {
  drive.take_steps(0, 8);
  drive.checkpoint(8);
  for (int rank : {0, 1}) drive.say(rank, Finished{8});
  drive.feed(event::StopRequested{"SIGINT"});
  drive.exit(0);
  drive.lose(0), drive.lose(1);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFinished);
}

TEST_F(DecideTest, ASecondSignalDoesNotWait) {
  drive.take_steps(0, 3);
  drive.feed(event::StopRequested{"SIGINT"});
  drive.forget();
  drive.feed(event::StopRequested{"SIGINT", true});
  const auto ends = drive.all<action::EndGroup>();
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_TRUE(ends[0].by_force);
  drive.lose(0), drive.lose(1);
  drive.exit(137);
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
  EXPECT_THAT(drive.ended().error.message, HasSubstr("step 0"));
}

TEST_F(DecideTest, AWorkerThatDiesDuringAStopIsNotReplaced) {
  drive.take_steps(0, 3);
  drive.feed(event::StopRequested{"SIGINT"});
  drive.lose(1), drive.lose(0);
  drive.exit(137);
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
  EXPECT_EQ(drive.all<action::StartGroup>().size(), 1u);
}

TEST(Decide, AGroupThatAPersonStarts) {
  RunFacts facts = static_facts();
  facts.supervised = false;
  Drive drive(facts);
  drive.feed(event::Begin{});
  drive.feed(event::GroupStarted{""});
  drive.pass(24h);
  EXPECT_TRUE(drive.all<action::EndRun>().empty()) << "a person takes as long as it takes";
  drive.come(0, 3), drive.come(1, 3), drive.come(2, 3);  // another number than configured is fine
  EXPECT_EQ(drive.all<action::Assign>().size(), 3u);
  drive.take_steps(0, 8);
  drive.checkpoint(8);
  for (int rank : {0, 1, 2}) drive.say(rank, Finished{8});
  for (int rank : {0, 1, 2}) drive.lose(rank);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFinished);
}

TEST(Decide, AGroupThatAPersonStartedIsNotReplaced) {
  RunFacts facts = static_facts();
  facts.supervised = false;
  Drive drive(facts);
  drive.feed(event::Begin{});
  drive.join(2);
  drive.take_steps(0, 2);
  const auto drops = Drive::of<action::Drop>(drive.lose(1));
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].connection, drive.connection(0));
  drive.lose(0);
  EXPECT_EQ(drive.ended().error.code, ErrorCode::kRun);
  EXPECT_THAT(to_string(drive.ended().error), HasSubstr("plumbline resume RUN"));
  EXPECT_THAT(to_string(drive.ended().error), HasSubstr("mpirun -np 2"));
}

TEST(Decide, StoppedWhileItWaitsForAPerson) {
  RunFacts facts = static_facts();
  facts.supervised = false;
  Drive drive(facts);
  drive.feed(event::Begin{});
  drive.feed(event::GroupStarted{""});
  drive.feed(event::StopRequested{"SIGINT"});
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
}

TEST(Decide, AResumedRunThatLacksOnlyItsEvaluation) {
  Drive drive(static_facts());
  drive.state().checkpoint = CommittedCheckpoint{Step(8), "w8"};
  drive.feed(event::Begin{});
  drive.join(2);
  for (const Lease& lease : drive.leases()) {
    EXPECT_TRUE(lease.last);
    EXPECT_FALSE(lease.stop);
    EXPECT_EQ(lease.end_step, 8);
  }
  for (int rank : {0, 1}) drive.say(rank, Finished{8});
  drive.lose(0), drive.lose(1);
  drive.exit(0);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFinished);
}

}  // namespace
}  // namespace plumbline
