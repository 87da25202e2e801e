// Scripted schedules of a static group that breaks: deaths, silence, errors, damaged checkpoints.
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
using namespace std::chrono_literals;

TEST_F(DecideTest, AKilledWorkerBringsANewGenerationFromTheNewestCheckpoint) {
  drive.take_steps(0, 4);
  drive.checkpoint(4);
  drive.take_steps(4, 5);
  const auto actions = drive.lose(1);
  EXPECT_EQ(Drive::of<action::EndGroup>(actions).size(), 1u);
  EXPECT_TRUE(Drive::of<action::StartGroup>(actions).empty()) << "not before the old group is gone";
  drive.lose(0);
  drive.exit(137);
  const auto starts = drive.all<action::StartGroup>();
  ASSERT_EQ(starts.size(), 2u);
  EXPECT_EQ(starts[1].generation, Generation(2));
  drive.join(2, 200);
  const auto assigns = drive.all<action::Assign>();
  ASSERT_EQ(assigns.size(), 4u);
  EXPECT_EQ(assigns[3].assignment.start_step, 4);
  EXPECT_EQ(assigns[3].assignment.source, -1);
  EXPECT_EQ(assigns[3].resume_from, Step(4));
  EXPECT_EQ(drive.leases().back().first_step, 4);
  EXPECT_EQ(drive.state().restarts, 1);
  EXPECT_THAT(drive.journal(), Contains("worker_lost"));
}

TEST_F(DecideTest, AnErrorOfItsOwnEndsTheRun) {
  drive.take_steps(0, 1);
  drive.say(0, Failed{4, "the loss is not finite at step 2", "step 2", "lower the learning rate"});
  drive.lose(0);  // It says so, leaves, and mpirun ends the other.
  drive.lose(1);
  drive.exit(4);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFailed);
  EXPECT_EQ(drive.ended().error.code, ErrorCode::kRun);
  EXPECT_THAT(drive.ended().error.message, HasSubstr("not finite"));
  EXPECT_EQ(drive.ended().error.hint, "lower the learning rate");
  EXPECT_EQ(drive.all<action::StartGroup>().size(), 1u);
  EXPECT_THAT(drive.journal(), Not(Contains("worker_lost")));
}

TEST_F(DecideTest, AnErrorForTheSakeOfAKilledWorkerDoesNot) {
  // Whichever is read first: the loss, or the error that it caused.
  for (const bool error_first : {true, false}) {
    const std::size_t before = drive.all<action::StartGroup>().size();
    if (error_first) drive.say(0, Failed{4, "a collective broke", "", ""});
    drive.lose(1);
    if (!error_first) drive.say(0, Failed{4, "a collective broke", "", ""});
    drive.lose(0);
    drive.exit(137);
    EXPECT_EQ(drive.all<action::StartGroup>().size(), before + 1);
    drive.join(2, 100 * (before + 2));
  }
  EXPECT_TRUE(drive.all<action::EndRun>().empty());
}

TEST_F(DecideTest, WhenAllIsReadAtOnceTheLauncherTells) {
  drive.say(0, Failed{4, "the loss is not finite", "", ""});
  drive.lose(1);  // Ended by the launcher, but read before the end of the one that failed.
  drive.lose(0);
  drive.exit(4);  // That of the worker that ended first.
  EXPECT_EQ(drive.ended().error.message, "the loss is not finite");
}

TEST_F(DecideTest, AnErrorThatIsReadAfterTheLossIsTheCauseWhenTheLauncherSaysSo) {
  drive.lose(1);
  drive.say(0, Failed{3, "the shard is cut short", "", ""});
  drive.lose(0);
  drive.exit(3);
  EXPECT_EQ(drive.ended().error.code, ErrorCode::kData);
}

TEST_F(DecideTest, ASignalThatCameFirstIsTheCause) {
  drive.say(0, Failed{4, "a collective broke", "", ""});
  drive.lose(0);
  drive.lose(1);
  drive.exit(137);
  EXPECT_EQ(drive.all<action::StartGroup>().size(), 2u);
}

TEST_F(DecideTest, CodesOfConfigurationAndDataAreKept) {
  for (int rank : {0, 1}) drive.say(rank, Failed{3, "the shard is cut short", "train-00000.h5", ""});
  for (int rank : {0, 1}) drive.lose(rank);
  drive.exit(3);
  EXPECT_EQ(drive.ended().error.code, ErrorCode::kData);
  EXPECT_EQ(drive.ended().error.where, "train-00000.h5");
}

TEST_F(DecideTest, TheLastMessagesOfAnEndedGroupAreRead) {
  drive.take_steps(0, 8);
  drive.checkpoint(8);
  drive.exit(0);  // The process's end is seen before what is still in the sockets.
  EXPECT_TRUE(drive.all<action::EndRun>().empty());
  for (int rank : {0, 1}) drive.say(rank, Finished{8});
  for (int rank : {0, 1}) drive.lose(rank);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFinished);
}

TEST_F(DecideTest, DeathsInARowAreCounted) {
  for (int death = 0; death <= 3; ++death) {
    EXPECT_TRUE(drive.all<action::EndRun>().empty());
    drive.lose(0), drive.lose(1);
    drive.exit(1);
    if (death < 3) drive.join(2, 200 + 100 * static_cast<std::uint64_t>(death));
  }
  EXPECT_EQ(drive.ended().outcome, Outcome::kFailed);
  EXPECT_THAT(drive.ended().error.message, HasSubstr("4 times in a row"));
  EXPECT_THAT(to_string(drive.ended().error), HasSubstr("launcher.log"));
  EXPECT_THAT(to_string(drive.ended().error), HasSubstr("plumbline resume RUN"));
  EXPECT_EQ(drive.all<action::StartGroup>().size(), 4u);
}

TEST(Decide, ACheckpointForgivesEarlierDeaths) {
  Drive drive(static_facts(1, 100));
  drive.facts().max_restarts = 1;
  drive.feed(event::Begin{});
  for (int death = 0; death < 6; ++death) {
    drive.join(1, 100 + 10 * static_cast<std::uint64_t>(death));
    const std::int64_t from = drive.state().leases.start();
    drive.take_steps(from, from + 4);
    drive.checkpoint(from + 4);
    drive.lose(0);
    drive.exit(137);
  }
  EXPECT_TRUE(drive.all<action::EndRun>().empty());
  EXPECT_EQ(drive.state().restarts, 6);
}

/// Dies after committing steps 2 and 4; the next group is launched.
class FallBackTest : public DecideTest {
 protected:
  FallBackTest() {
    for (const std::int64_t step : {0, 2}) drive.take_steps(step, step + 2), drive.checkpoint(step + 2);
    drive.lose(1), drive.lose(0);
    drive.exit(137);
    drive.forget();
    drive.feed(event::GroupStarted{"g2"});
  }
  static event::CheckpointVerified older() {
    return {{Step(2), "w2"}, {{{Step(4), "w4"}, "RUN/checkpoints/step-4/model.safetensors", "it is cut", "damaged"}}};
  }
};

TEST_F(FallBackTest, NobodyIsAssignedACheckpointThatIsNotVerified) {
  for (const int rank : {0, 1}) {
    const auto actions = drive.come(rank, 2);
    EXPECT_EQ(Drive::of<action::Welcome>(actions).size(), 1u);
    EXPECT_TRUE(Drive::of<action::Assign>(actions).empty());
  }
  drive.pass(drive.facts().join_timeout + 1s);
  EXPECT_TRUE(drive.all<action::EndGroup>().empty()) << "the workers are there";
  const auto assigns = Drive::of<action::Assign>(drive.verify());
  ASSERT_EQ(assigns.size(), 2u);
  EXPECT_EQ(assigns[0].assignment.start_step, 4);
}

TEST_F(FallBackTest, AnOlderCheckpointTakesADamagedOnesPlace) {
  drive.feed(older());
  EXPECT_THAT(drive.journal(), ElementsAre("checkpoint_set_aside"));
  const Json data = drive.all<action::AppendJournal>().front().data;
  EXPECT_EQ(data.at("step"), 4);
  EXPECT_EQ(data.at("instead"), 2);
  EXPECT_EQ(data.at("moved_to"), "damaged");
  drive.come(0, 2);
  EXPECT_EQ(Drive::of<action::Assign>(drive.come(1, 2)).front().assignment.start_step, 2);
  drive.take_steps(2, 4);
  drive.checkpoint(4);
  EXPECT_EQ(drive.state().checkpoint->step, Step(4)) << "committed again";
}

TEST_F(FallBackTest, AGroupThatEndsMeanwhileWaitsForTheAnswer) {
  drive.exit(1);
  EXPECT_TRUE(drive.all<action::StartGroup>().empty());
  const auto starts = Drive::of<action::StartGroup>(drive.feed(older()));
  EXPECT_EQ(starts.size(), 1u);
  EXPECT_EQ(drive.all<action::VerifyCheckpoint>().size(), 1u) << "and what is taken instead is verified in its turn";
  EXPECT_EQ(drive.state().checkpoint->step, Step(2));
}

TEST_F(FallBackTest, NoneThatVerifiesEndsTheRun) {
  drive.feed(event::NoCheckpointVerifies{data_error("none verifies", "RUN/checkpoints")});
  EXPECT_EQ(drive.all<action::EndGroup>().size(), 1u);
  drive.exit(143);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFailed);
  EXPECT_EQ(drive.ended().error.code, ErrorCode::kData);
}

TEST_F(DecideTest, SilenceIsDeath) {
  for (int i = 0; i < 100; ++i) {
    drive.pass(1s);
    drive.say(0, Heartbeat{0, "training"});
    drive.say(1, Heartbeat{0, "training"});
  }
  EXPECT_TRUE(drive.all<action::EndGroup>().empty());
  for (int i = 0; i < 61; ++i) {
    drive.pass(1s);
    drive.say(0, Heartbeat{0, "training"});
  }
  ASSERT_EQ(drive.all<action::EndGroup>().size(), 1u);
  EXPECT_FALSE(drive.all<action::EndGroup>()[0].by_force);
  drive.pass(6s);
  ASSERT_EQ(drive.all<action::EndGroup>().size(), 2u) << "it does not end when asked";
  EXPECT_TRUE(drive.all<action::EndGroup>()[1].by_force);
  drive.lose(0), drive.lose(1);
  drive.exit(137);
  EXPECT_EQ(drive.all<action::StartGroup>().size(), 2u);
}

TEST(Decide, AGroupThatDoesNotComeWholeIsEnded) {
  Drive drive(static_facts());
  drive.feed(event::Begin{});
  drive.feed(event::GroupStarted{"g1"});
  drive.come(0, 2);
  drive.pass(drive.facts().join_timeout + 1ms);
  EXPECT_EQ(drive.all<action::EndGroup>().size(), 1u);
  drive.lose(0);
  drive.exit(143);
  EXPECT_EQ(drive.all<action::StartGroup>().size(), 2u);
}

TEST(Decide, AGroupThatCannotStartSaysWhy) {
  for (const auto& [status, code] :
       {std::pair{6, ErrorCode::kEnvironment}, {2, ErrorCode::kUsage}, {3, ErrorCode::kData}}) {
    Drive drive(static_facts());
    drive.feed(event::Begin{});
    drive.feed(event::GroupStarted{"g1"});
    drive.exit(status);
    EXPECT_EQ(drive.ended().error.code, code);
    EXPECT_THAT(drive.ended().error.where, HasSubstr("launcher.log"));
  }
  Drive drive(static_facts());
  drive.feed(event::Begin{});
  drive.feed(event::GroupNotStarted{environment_error("no mpirun")});
  EXPECT_EQ(drive.ended().error.message, "no mpirun");
}

}  // namespace
}  // namespace plumbline
