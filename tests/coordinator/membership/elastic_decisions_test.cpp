// Scripted schedules of elastic groups: what the coordinator does when workers go, come, fall silent or fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/membership/elastic_drive.hpp"

namespace plumbline {
namespace {

using action::Outcome;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

TEST_F(ElasticTest, TheFirstGenerationBeginsWithAllThatWereLaunched) {
  EXPECT_EQ(drive.all<action::StartGroup>().front().workers, 3);
  const auto welcomes = Drive::of<action::Welcome>(come(2));
  ASSERT_EQ(welcomes.size(), 1u);
  EXPECT_FALSE(welcomes[0].under_way);
  come(0), come(1);
  ready(2), ready(0);
  EXPECT_TRUE(assignments().empty()) << "one is not ready";
  ready(1);
  const auto assigned = assignments();
  ASSERT_EQ(assigned.size(), 3u);
  EXPECT_EQ(assigned[2].mesh, (std::vector<std::string>{"here:4000", "here:4001", "here:4002"}));
  EXPECT_EQ(assigned[2].source, -1);
  EXPECT_EQ(assigned[2].start_step, 0);
  EXPECT_EQ(drive.state().generation, Generation(1));
  EXPECT_THAT(drive.journal(), ElementsAre("generation_started"));
}

TEST_F(TrainingTest, TheOthersGoOnWithTheNewestStepWhenOneIsLost) {
  const auto lost = hang_up(0);
  EXPECT_EQ(regroups(lost), 2);
  ASSERT_EQ(Drive::of<action::KillWorker>(lost).size(), 1u);
  EXPECT_EQ(Drive::of<action::StartWorker>(exit(0)).front().number, 0);
  ready(1, 4);
  EXPECT_TRUE(assignments().empty());
  ready(2, 5);  // One came out of the step that the other did not.
  const auto assigned = assignments();
  ASSERT_EQ(assigned.size(), 2u);
  EXPECT_EQ(assigned[0].mesh, (std::vector<std::string>{"here:4002", "here:4001"})) << "the newest step comes first";
  EXPECT_EQ(assigned[0].source, 0);
  EXPECT_EQ(assigned[0].start_step, 5);
  EXPECT_FALSE(drive.all<action::Assign>().front().resume_from);
  EXPECT_EQ(drive.state().generation, Generation(2));
  EXPECT_TRUE(drive.all<action::VerifyCheckpoint>().empty());
  EXPECT_THAT(drive.journal(), ElementsAre("worker_lost", "generation_ended", "generation_started"));
}

TEST_F(TrainingTest, EachStepHasOneLineOfMetrics) {
  die(1);
  ready(0, 4), ready(2, 4);
  drive.forget();
  take_steps(0, 3, 5);  // Step 4 is said again by who holds it.
  EXPECT_EQ(drive.all<action::AppendMetrics>().size(), 1u);
}

/// Three workers, and a checkpoint every third step: that of step 3 was not committed by step 4.
class MakeUpTest : public TrainingTest {
 protected:
  MakeUpTest() { drive.facts().checkpoint_every = 3; }
  std::int64_t make_up() const { return assignments().front().make_up; }
};

TEST_F(MakeUpTest, TheNextGenerationMakesUpForACheckpointThatWasGivenUp) {
  die(1);
  ready(0, 4), ready(2, 4);
  EXPECT_EQ(make_up(), 5);
  EXPECT_THAT(drive.reasons(), Contains(HasSubstr("that of step 5 makes up for it")));
  take_steps(0, 4, 5);
  checkpoint(0, 5);
  drive.forget();
  die(2);
  ready(0, 5);
  EXPECT_EQ(make_up(), -1) << "nothing is missing any more";
}

TEST_F(MakeUpTest, WhatIsDueAtTheStartIsNotMadeUpForBesides) {
  take_steps(0, 4, 6);
  die(1);
  ready(0, 6), ready(2, 6);
  EXPECT_EQ(make_up(), -1);
}

TEST_F(MakeUpTest, OneThatIsGivenUpInItsTurnIsPutOff) {
  drive.facts().checkpoint_every = 12;
  take_steps(0, 4, 13);
  die(1);
  ready(0, 13), ready(2, 13);
  EXPECT_EQ(make_up(), 14);
  take_steps(0, 13, 14);  // saved, and not committed
  die(2);
  ready(0, 14);
  EXPECT_EQ(make_up(), 16);
  come(1), ready(1);  // before the step at which it would have been saved
  take_steps(0, 14, drive.state().leases.end());
  ready(0, drive.state().leases.end());
  EXPECT_EQ(make_up(), drive.state().leases.start() + 2) << "none was given up meanwhile";
  const std::int64_t next = make_up();
  take_steps(0, drive.state().leases.start(), next);
  checkpoint(0, next);
  EXPECT_EQ(drive.state().made_up_in_vain, 0);
}

TEST_F(MakeUpTest, WhoBeginsFromTheFilesTakesTheStepsAgainAndIsDueThere) {
  die(0), die(1), die(2);
  for (int number : {0, 1, 2}) come(number), ready(number);
  ASSERT_EQ(assignments().size(), 3u);
  EXPECT_EQ(make_up(), -1);
}

TEST_F(TrainingTest, TwoLossesAreOneRegrouping) {
  die(1), die(2);
  ready(0, 4);
  ASSERT_EQ(assignments().size(), 1u);
  EXPECT_EQ(drive.state().restarts, 1);
  EXPECT_EQ(drive.state().generation, Generation(2));
}

TEST_F(TrainingTest, WhenAllAreLostTheyStartFromTheVerifiedCheckpoint) {
  checkpoint(0, 4);
  die(0), die(1), die(2);
  EXPECT_EQ(drive.all<action::VerifyCheckpoint>().size(), 1u);
  for (int number : {0, 1, 2}) come(number), ready(number);
  EXPECT_TRUE(assignments().empty()) << "it is not verified yet";
  drive.verify();
  ASSERT_EQ(assignments().size(), 3u);
  EXPECT_EQ(assignments()[0].source, -1);
  EXPECT_EQ(assignments()[0].start_step, 4);
  EXPECT_EQ(drive.all<action::Assign>().back().resume_from, Step(4));
}

TEST_F(TrainingTest, AStoreOnItsWayIsNotOverlookedWhenAllAreLost) {
  for (const char* file : {"a", "model.safetensors"}) say(0, PartWritten{4, file, 1, std::string(64, 'a'), 2});
  die(0), die(1), die(2);
  EXPECT_TRUE(drive.all<action::VerifyCheckpoint>().empty());
  drive.feed(event::CheckpointStored{4, "w4"});
  EXPECT_EQ(drive.all<action::VerifyCheckpoint>().size(), 1u);
  for (int number : {0, 1, 2}) come(number), ready(number);
  drive.verify();
  ASSERT_EQ(assignments().size(), 3u);
  EXPECT_EQ(assignments()[0].start_step, 4);
}

/// Ranks 0 and 1 took step 5, wrote it and died; rank 2, which has no part of a checkpoint, was left behind at step 4.
class LeftBehindTest : public TrainingTest {
 protected:
  void be_left_behind() {
    checkpoint(0, 4);
    take_steps(0, 4, 5);
    say(0, PartWritten{5, "model.safetensors", 1, std::string(64, 'a'), 2});
    say(1, PartWritten{5, "b", 1, std::string(64, 'b'), 2});
    die(0), die(1);
    ready(2, 4);
    EXPECT_TRUE(drive.all<action::VerifyCheckpoint>().empty()) << "it is being stored";
    drive.feed(event::CheckpointStored{5, "w5"});
    EXPECT_EQ(drive.all<action::VerifyCheckpoint>().size(), 1u) << "it is newer than what is held";
  }
  Assignment assigned_when_all_have_come() {
    for (const int number : {0, 1}) come(number), ready(number);
    EXPECT_EQ(assignments().size(), 3u);
    return assignments().front();
  }
};

TEST_F(LeftBehindTest, ACheckpointAheadOfAllWhoAreLeftIsTakenUp) {
  be_left_behind();
  drive.verify();
  const Assignment assignment = assigned_when_all_have_come();
  EXPECT_EQ(assignment.start_step, 5);
  EXPECT_EQ(assignment.source, -1);
  EXPECT_EQ(assignment.checkpointed, 5);
}

TEST_F(LeftBehindTest, WhereThatCheckpointIsDamagedWhatIsHeldIsTakenUp) {
  be_left_behind();
  drive.forget();
  drive.feed(event::CheckpointVerified{{Step(4), "w4"}, {{{Step(5), "w5"}, "file", "reason", "moved"}}});
  ASSERT_EQ(assignments().size(), 1u) << "at once";
  EXPECT_EQ(assignments().front().start_step, 4);
  EXPECT_EQ(assignments().front().source, 0) << "as new as any checkpoint";
  EXPECT_EQ(assignments().front().checkpointed, 4);
}

TEST_F(ElasticTest, ASurvivorThatHoldsNothingStartsFromTheVerifiedCheckpointToo) {
  drive.state().checkpoint = CommittedCheckpoint{Step(8), "w8"};
  begin(3);
  drive.forget();
  die(0), die(1);  // before anybody has loaded it
  ready(2);
  EXPECT_EQ(drive.all<action::VerifyCheckpoint>().size(), 1u);
  come(0), ready(0), come(1), ready(1);
  EXPECT_TRUE(assignments().empty());
  drive.verify();
  EXPECT_EQ(assignments().size(), 3u);
}

TEST_F(TrainingTest, SilenceIsDeath) {
  for (int second = 0; second <= 60; ++second) {
    drive.pass(1s);
    for (int number : {0, 2}) say(number, Heartbeat{4, "training"});
  }
  ASSERT_EQ(drive.all<action::KillWorker>().size(), 1u);
  EXPECT_EQ(drive.all<action::KillWorker>()[0].number, 1);
  EXPECT_EQ(Drive::of<action::StartWorker>(exit(1)).size(), 1u);
}

TEST_F(TrainingTest, WhoDoesNotLeaveTheGenerationIsLost) {
  die(1);
  ready(0, 4);
  for (int second = 0; second <= 31; ++second) {
    drive.pass(1s);
    for (int number : {0, 2}) say(number, Heartbeat{4, "training"});
  }
  ASSERT_EQ(assignments().size(), 1u) << "worker 0 goes on alone";
  EXPECT_EQ(drive.all<action::KillWorker>().back().number, 2);
}

TEST_F(TrainingTest, ANewcomerTakesPartWhereTheGrantsEnd) {
  die(1);
  ready(0, 4), ready(2, 4);
  const auto welcomes = Drive::of<action::Welcome>(come(1));
  ASSERT_EQ(welcomes.size(), 1u);
  EXPECT_TRUE(welcomes[0].under_way);
  drive.forget();
  ready(1);
  const auto leases = drive.leases();
  ASSERT_EQ(leases.size(), 2u);
  EXPECT_TRUE(leases[0].last && leases[0].regroup);
  EXPECT_EQ(leases[0].end_step, 5);
  take_steps(0, 4, 5);
  ready(0, 5);
  EXPECT_TRUE(assignments().empty());
  const int losses = drive.state().restarts_in_row;
  ready(2, 5);
  ASSERT_EQ(assignments().size(), 3u);
  EXPECT_EQ(assignments()[0].start_step, 5);
  EXPECT_EQ(drive.state().restarts_in_row, losses) << "growth is no loss";
}

TEST_F(TrainingTest, TrainingWaitsBelowTheLeastNumber) {
  drive.facts().min_workers = 3;
  die(1);
  ready(0, 4), ready(2, 4);
  EXPECT_TRUE(assignments().empty());
  come(1), ready(1);
  ASSERT_EQ(assignments().size(), 3u);
  EXPECT_EQ(assignments()[0].start_step, 4);
}

TEST_F(TrainingTest, TooFewThatNobodyWillJoinEndTheRun) {
  drive.facts().min_workers = 3;
  die(1);
  ready(0, 4), ready(2, 4);
  exit(1, 6);
  EXPECT_EQ(drive.all<action::EndGroup>().size(), 1u);
  for (int number : {0, 2}) die(number);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFailed);
  EXPECT_THAT(drive.ended().error.message, HasSubstr("2 workers of at least 3"));
}

TEST_F(TrainingTest, AStopWhileRegroupingStopsAtTheFirstStep) {
  die(1);
  drive.feed(event::StopRequested{"SIGINT"});
  ready(0, 4), ready(2, 4);
  const Lease lease = drive.leases().back();
  EXPECT_TRUE(lease.last && lease.stop);
  take_steps(0, 4, lease.end_step);
  checkpoint(0, lease.end_step);
  for (int number : {0, 2}) say(number, Finished{lease.end_step});
  for (int number : {0, 1, 2}) exit(number, 0);
  for (int number : {0, 2}) hang_up(number);
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
}

TEST_F(TrainingTest, AStopWhenNobodyIsLeftEndsAtOnce) {
  drive.facts().max_restarts = 0;
  drive.feed(event::StopRequested{"SIGINT"});
  for (int number : {0, 1, 2}) hang_up(number);
  for (int number : {0, 1, 2}) exit(number);
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
}

TEST_F(TrainingTest, NewcomersOfNoUseAreRefused) {
  EXPECT_THAT(refusal(come(1)), HasSubstr("joined already"));
  --comings_[1];
  Hello hello;
  hello.rank = 7, hello.world = 0, hello.group = "g1", hello.mesh = "here:1", hello.fingerprint = "cpu";
  const auto refused = [&] { return refusal(drive.feed(event::WorkerCame{ConnectionId(999), hello})); };
  EXPECT_THAT(refused(), HasSubstr("nobody launched a worker 7"));
  hello.rank = 1, hello.group = "another";
  EXPECT_THAT(refused(), HasSubstr("another group"));
  hello.group = "g1", hello.world = 3;
  EXPECT_THAT(refused(), HasSubstr("static"));
  die(1);
  ready(0, 4), ready(2, 4);
  EXPECT_THAT(refusal(come(1, "another cpu")), HasSubstr("another cpu"));
  EXPECT_TRUE(drive.all<action::EndGroup>().empty()) << "the others go on";
}

TEST_F(ElasticTest, AStrangersWayOfComputingEndsNoRun) {
  Hello stranger;
  stranger.rank = 0, stranger.world = 0, stranger.group = "another", stranger.mesh = "here:1";
  stranger.fingerprint = "another cpu";
  come(0), ready(0);
  EXPECT_THAT(refusal(drive.feed(event::WorkerCame{ConnectionId(999), stranger})), HasSubstr("another group"));
  EXPECT_TRUE(drive.all<action::EndGroup>().empty());
}

TEST_F(ElasticTest, AnotherWayOfComputingInTheFirstGroupEndsTheRun) {
  come(0), come(1, "another cpu");
  EXPECT_EQ(drive.all<action::EndGroup>().size(), 1u);
  for (int number : {0, 1, 2}) exit(number, 143);
  hang_up(0);
  EXPECT_EQ(drive.ended().error.code, ErrorCode::kUsage);
}

TEST_F(ElasticTest, AWorkerThatRefusesToStartEndsARunThatHasNotBegun) {
  exit(1, 3);
  for (int number : {0, 2}) exit(number, 143);
  EXPECT_EQ(drive.ended().error.code, ErrorCode::kData);
  EXPECT_EQ(drive.ended().error.where, "RUN/logs/launcher.log");
}

TEST_F(TrainingTest, AWorkerThatRefusesToStartIsNotLaunchedAgain) {
  die(1);
  ready(0, 4), ready(2, 4);
  drive.forget();
  EXPECT_TRUE(Drive::of<action::StartWorker>(exit(1, 6)).empty());
  take_steps(0, 4, 5);
  EXPECT_TRUE(drive.all<action::EndGroup>().empty()) << "the others go on";
}

TEST_F(TrainingTest, ANewcomerThatDoesNotComeIsLaunchedAgain) {
  die(1);
  ready(0, 4), ready(2, 4);
  drive.forget();
  for (int second = 0; second <= 181; ++second) {
    drive.pass(1s);
    for (int number : {0, 2}) say(number, Heartbeat{4, "training"});
  }
  ASSERT_EQ(drive.all<action::KillWorker>().size(), 1u);
  EXPECT_EQ(drive.all<action::KillWorker>()[0].number, 1);
  EXPECT_EQ(Drive::of<action::StartWorker>(exit(1)).size(), 1u);
}

TEST_F(TrainingTest, AnExitThatIsSeenBeforeTheEndOfItsConnectionWaitsForIt) {
  EXPECT_TRUE(exit(1).empty());
  take_steps(0, 4, 5);
  drive.forget();
  hang_up(1);
  EXPECT_EQ(drive.all<action::StartWorker>().size(), 1u);
  EXPECT_TRUE(drive.all<action::KillWorker>().empty()) << "it would hit the new one";
}

TEST_F(TrainingTest, AHostWhereAWorkerIsLostAgainAndAgainIsLeftOut) {
  drive.facts().chooses_hosts = true;
  std::int64_t step = 4;
  // The loss and the return of worker 1, with steps in between; was it launched elsewhere?
  const auto lose_and_replace = [&](std::chrono::milliseconds after) {
    drive.advance(after);
    hang_up(1);
    const auto launched = Drive::of<action::StartWorker>(exit(1));
    ready(0, step), ready(2, step);
    come(1), ready(1);
    take_steps(0, step, drive.state().leases.end());
    step = drive.state().leases.end();
    for (int number : {0, 2}) ready(number, step);
    take_steps(0, step, step + 1), ++step;
    return launched.size() == 1 && launched[0].elsewhere;
  };
  EXPECT_FALSE(lose_and_replace(1s));
  EXPECT_FALSE(lose_and_replace(1s));
  EXPECT_TRUE(lose_and_replace(1s)) << "the third within an hour";
  EXPECT_FALSE(lose_and_replace(1s)) << "another host begins anew";
  EXPECT_FALSE(lose_and_replace(61min));
  EXPECT_FALSE(lose_and_replace(1s)) << "long ago does not count";
}

TEST_F(TrainingTest, AWorkerThatEndsTooOftenBeforeItTakesPartIsLeftOut) {
  die(1);
  ready(0, 4), ready(2, 4);
  drive.forget();
  for (int start = 0; start < drive.facts().max_restarts; ++start)
    EXPECT_EQ(Drive::of<action::StartWorker>(exit(1)).size(), 1u);
  EXPECT_TRUE(Drive::of<action::StartWorker>(exit(1)).empty());
  take_steps(0, 4, 5);
  EXPECT_TRUE(drive.all<action::EndGroup>().empty()) << "the others go on";
}

TEST_F(TrainingTest, AfterTooManyLossesAWorkerIsLaunchedOnceThereIsAStep) {
  drive.state().restarts_in_row = drive.facts().max_restarts;
  die(1);
  ready(0, 4), ready(2, 4);
  drive.forget();
  exit(1);
  EXPECT_TRUE(drive.all<action::StartWorker>().empty());
  take_steps(0, 4, 5);
  ASSERT_EQ(drive.all<action::StartWorker>().size(), 1u);
  EXPECT_EQ(drive.all<action::StartWorker>()[0].number, 1);
  EXPECT_EQ(drive.state().restarts_in_row, 0);
}

TEST_F(TrainingTest, WhenNoWorkerIsLeftTheRunFails) {
  drive.state().restarts_in_row = drive.facts().max_restarts;
  for (int number : {0, 1, 2}) die(number);
  for (int number : {0, 1, 2}) exit(number);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFailed);
  EXPECT_THAT(drive.ended().error.hint, HasSubstr("resume"));
}

TEST_F(TrainingTest, AnErrorOfItsOwnEndsTheRun) {
  say(1, Failed{4, "the loss is not finite", "step 5", "lower the learning rate"});
  EXPECT_EQ(drive.all<action::EndGroup>().size(), 1u);
  for (int number : {0, 1, 2}) exit(number, 143), hang_up(number);
  EXPECT_EQ(drive.ended().error.message, "the loss is not finite");
  EXPECT_TRUE(drive.all<action::StartWorker>().empty());
}

TEST_F(ElasticTest, WhoHasFinishedIsDismissedWhenAllHave) {
  begin(3);
  take_steps(0, 0, 20);
  checkpoint(0, 20);
  drive.forget();
  for (int number : {0, 1}) say(number, Finished{20});
  hang_up(2), exit(2);
  const auto dismissals = [&] {
    int count = 0;
    for (const auto& send : drive.all<action::Send>()) count += std::holds_alternative<Dismissal>(send.message) ? 1 : 0;
    return count;
  };
  EXPECT_EQ(dismissals(), 0) << "the last evaluation is to be done again";
  for (int number : {0, 1}) ready(number, 20);
  ASSERT_EQ(assignments().size(), 2u);
  EXPECT_TRUE(drive.leases().back().last);
  EXPECT_FALSE(drive.leases().back().regroup);
  for (int number : {0, 1}) say(number, Finished{20});
  EXPECT_EQ(dismissals(), 2);
  EXPECT_EQ(drive.all<action::KillWorker>().back().number, 2) << "the one that was launched again comes too late";
  for (int number : {0, 1, 2}) exit(number, 0);
  for (int number : {0, 1}) hang_up(number);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFinished);
}

TEST_F(TrainingTest, AStepBeyondTheLeaseIsNoState) {
  const auto actions = ready(1, 19);
  ASSERT_EQ(Drive::of<action::Drop>(actions).size(), 1u);
  EXPECT_EQ(Drive::of<action::Drop>(actions)[0].connection, connection(1));
}

TEST_F(TrainingTest, WhatWasSaidInAnEarlierGenerationChangesNothing) {
  die(1);
  ready(0, 4), ready(2, 4);
  drive.forget();
  for (const Message& message : {Message(StepDone{5, {{"kind", "train"}, {"step", 5}}}), Message(Ready{4, "aa"}),
                                 Message(PartWritten{4, "a", 1, std::string(64, 'a'), 1}), Message(Finished{20})})
    EXPECT_TRUE(drive.feed(event::WorkerSaid{connection(0), Generation(1), message}).empty()) << message_name(message);
  EXPECT_EQ(drive.state().phase, GroupPhase::kTraining);
}

}  // namespace
}  // namespace plumbline
