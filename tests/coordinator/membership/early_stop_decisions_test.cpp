// Scripted schedules of runs that may stop early: what is granted before a rate is known, and where they end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/membership/drive.hpp"

namespace plumbline {
namespace {

using action::Outcome;
using testing::Contains;
using testing::Not;

/// Held-out outputs are judged every two steps of eight.
class EarlyStopTest : public testing::Test {
 protected:
  EarlyStopTest() : drive(facts()) {
    drive.feed(event::Begin{});
    drive.join(2);
  }
  static RunFacts facts() {
    RunFacts facts;
    facts.workers = 2;
    facts.lease.steps = 8;
    facts.resume_command = "plumbline resume RUN";
    facts.early_stop = {.every = 2, .patience = 2};
    return facts;
  }
  void measure(std::int64_t step, double rate) {
    drive.say(
        0,
        StepDone{step, {{"kind", "heldout"}, {"step", step}, {"norms", {{"polite", {{"undesirable_rate", rate}}}}}}});
  }
  void train_to_the_end_of_patience() {
    measure(0, 0.5);
    drive.take_steps(0, 2);
    measure(2, 0.25);
    drive.take_steps(2, 4);
    measure(4, 0.375);
    drive.take_steps(4, 6);
    measure(6, 0.25);
  }
  Drive drive;
};

TEST_F(EarlyStopTest, NoStepIsGrantedBeyondWhatIsMeasured) {
  EXPECT_EQ(drive.leases().back().end_step, 0);
  measure(0, 0.5);
  EXPECT_EQ(drive.leases().back().end_step, 2);
  drive.take_steps(0, 2);
  EXPECT_EQ(drive.leases().back().end_step, 2);
  measure(2, 0.25);
  EXPECT_EQ(drive.leases().back().end_step, 4);
  EXPECT_FALSE(drive.leases().back().last);
}

TEST_F(EarlyStopTest, TheRunEndsWhereTheRateNoLongerFalls) {
  train_to_the_end_of_patience();
  EXPECT_EQ(drive.leases().back().end_step, 6);
  EXPECT_TRUE(drive.leases().back().last);
  EXPECT_FALSE(drive.leases().back().stop);
  drive.checkpoint(6);
  for (int rank = 0; rank < 2; ++rank) drive.say(rank, Finished{6});
  drive.exit(0);
  for (int rank = 0; rank < 2; ++rank) drive.lose(rank);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFinished);
  EXPECT_THAT(drive.journal(), Contains("early_stop").Times(1));
}

TEST_F(EarlyStopTest, TheCheckpointBeforeMayStillBeWrittenAtTheEndOfPatience) {
  train_to_the_end_of_patience();
  for (const char* file : {"a", "model.safetensors"}) drive.say(0, PartWritten{4, file, 1, std::string(64, 'a'), 2});
  drive.feed(event::CheckpointStored{4, "w4"});
  EXPECT_TRUE(drive.all<action::EndGroup>().empty());
  drive.say(0, Finished{6});
  EXPECT_EQ(drive.all<action::Drop>().size(), 1u) << "its last step is in no checkpoint";
}

TEST_F(EarlyStopTest, AndTheOneOfTheEndIsWaitedFor) {
  train_to_the_end_of_patience();
  for (const std::int64_t step : {4, 6}) drive.checkpoint(step);
  for (int rank = 0; rank < 2; ++rank) drive.say(rank, Finished{6});
  drive.exit(0);
  for (int rank = 0; rank < 2; ++rank) drive.lose(rank);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFinished);
}

TEST_F(EarlyStopTest, ARateThatFallsTrainsToTheEnd) {
  for (std::int64_t step = 0; step < 8; step += 2) {
    measure(step, 0.5 - 0.05 * static_cast<double>(step));
    drive.take_steps(step, step + 2);
  }
  EXPECT_TRUE(drive.leases().back().last);
  EXPECT_EQ(drive.leases().back().end_step, 8);
  EXPECT_THAT(drive.journal(), Not(Contains("early_stop")));
}

TEST_F(EarlyStopTest, ADeathInBetweenChangesNothing) {
  measure(0, 0.5);
  drive.take_steps(0, 2);
  measure(2, 0.25);
  drive.checkpoint(2);
  drive.take_steps(2, 4);
  measure(4, 0.375);  // lost with the group, and measured again
  drive.lose(1);
  drive.exit(137);
  drive.lose(0);
  drive.join(2, 200);
  ASSERT_EQ(drive.state().generation, Generation(2));
  EXPECT_EQ(drive.state().rates.size(), 2u);
  drive.take_steps(2, 4);
  measure(4, 0.375);
  drive.take_steps(4, 6);
  EXPECT_EQ(drive.leases().back().end_step, 6);
  measure(6, 0.25);
  EXPECT_TRUE(drive.leases().back().last);
  // The group dies once more, after the last checkpoint: the next one has only the evaluation to do.
  drive.checkpoint(6);
  drive.lose(1);
  drive.exit(137);
  drive.lose(0);
  drive.join(2, 300);
  EXPECT_EQ(drive.leases().back().end_step, 6);
  EXPECT_TRUE(drive.leases().back().last);
}

TEST_F(EarlyStopTest, AStopComesFirst) {
  measure(0, 0.5);
  drive.take_steps(0, 2);
  drive.feed(event::StopRequested{"test"});
  EXPECT_TRUE(drive.leases().back().stop);
  measure(2, 0.75);
  EXPECT_TRUE(drive.leases().back().stop);
  EXPECT_EQ(drive.leases().back().end_step, 2);
}

TEST_F(EarlyStopTest, PatienceSetAfterItsEndTrainsNoFurther) {
  Drive late(facts());
  late.state().checkpoint = CommittedCheckpoint{Step(6), std::string(64, 'a')};
  late.state().rates = {{0, 0.5}, {2, 0.5}, {4, 0.5}, {6, 0.25}};  // at its end at step 4, had it been set
  late.feed(event::Begin{});
  late.join(2);
  ASSERT_FALSE(late.leases().empty());
  EXPECT_EQ(late.leases().back().end_step, 6);
  EXPECT_TRUE(late.leases().back().last);
  for (int rank = 0; rank < 2; ++rank) late.say(rank, Finished{6});
  late.exit(0);
  for (int rank = 0; rank < 2; ++rank) late.lose(rank);
  EXPECT_EQ(late.ended().outcome, Outcome::kFinished);
}

}  // namespace
}  // namespace plumbline
