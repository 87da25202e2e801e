// Scripted schedules: what the coordinator does, step by step, when things go right and when they do not.
#include "coordinator/membership/decide.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/membership/drive.hpp"

namespace plumbline {
namespace {

using action::Outcome;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

RunFacts facts_of(int workers = 2, std::int64_t steps = 8) {
  RunFacts facts;
  facts.workers = workers;
  facts.lease.steps = steps;
  facts.launcher = "mpirun";
  facts.resume_command = "plumbline resume RUN";
  facts.start_command = "mpirun -np 2 plumbline-worker --join RUN";
  facts.log_place = "RUN/logs/launcher.log";
  return facts;
}

/// A run that trains on two workers.
class DecideTest : public testing::Test {
 protected:
  DecideTest() : drive(facts_of()) {
    drive.feed(event::Begin{});
    drive.join(2);
  }
  Drive drive;
};

TEST(Decide, TheFirstThingIsToLaunch) {
  Drive drive(facts_of());
  const auto starts = Drive::of<action::StartGroup>(drive.feed(event::Begin{}));
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].generation, Generation(1));
  EXPECT_EQ(starts[0].workers, 2);
  EXPECT_TRUE(drive.feed(event::Begin{}).empty()) << "once";
}

TEST(Decide, AllAreAssignedTogetherOnceAllAreThere) {
  Drive drive(facts_of(3));
  drive.feed(event::Begin{});
  drive.feed(event::GroupStarted{"g1"});
  for (const int rank : {2, 0}) {
    const auto actions = drive.come(rank, 3);
    EXPECT_EQ(Drive::of<action::Welcome>(actions).size(), 1u) << "let in at once";
    EXPECT_TRUE(Drive::of<action::Assign>(actions).empty());
  }
  const auto actions = drive.come(1, 3);
  EXPECT_EQ(Drive::of<action::Welcome>(actions).size(), 1u);
  EXPECT_EQ(Drive::of<action::Assign>(actions).size(), 3u);
  ASSERT_FALSE(actions.empty());
  bool journaled = false;
  for (const Action& action : actions) {
    if (std::holds_alternative<action::AppendJournal>(action.what)) journaled = true;
    const bool assigns = std::holds_alternative<action::Assign>(action.what);
    EXPECT_TRUE(!assigns || journaled) << "recorded before it is said";
  }
  const auto leases = drive.leases();
  ASSERT_EQ(leases.size(), 3u);
  EXPECT_EQ(leases[0].lane_end, leases[1].lane_begin);
  EXPECT_EQ(leases[2].lane_end, 12);
}

TEST_F(DecideTest, TrainsCommitsFinishes) {
  drive.take_steps(0, 4);
  const auto actions = drive.say(1, PartWritten{4, "b", 1, std::string(64, 'b'), 2});
  EXPECT_TRUE(Drive::of<action::StoreCheckpoint>(actions).empty()) << "a part is missing";
  const auto store =
      Drive::of<action::StoreCheckpoint>(drive.say(0, PartWritten{4, "model.safetensors", 1, std::string(64, 'a'), 2}));
  ASSERT_EQ(store.size(), 1u);
  EXPECT_EQ(store[0].manifest.files.size(), 2u);
  const auto committed = drive.feed(event::CheckpointStored{4, "w4"});
  EXPECT_EQ(Drive::of<action::Send>(committed).size(), 2u);
  EXPECT_EQ(Drive::of<action::PruneCheckpoints>(committed).size(), 1u);
  drive.take_steps(4, 8);
  drive.checkpoint(8);
  for (int rank : {0, 1}) drive.say(rank, Artifact{"snapshot_part", 8, "snapshots/.part"});
  EXPECT_EQ(drive.all<action::AggregateSnapshot>().size(), 1u);
  for (int rank : {0, 1}) drive.say(rank, Finished{8});
  drive.exit(0);
  for (int rank : {0, 1}) drive.lose(rank);
  EXPECT_TRUE(drive.all<action::EndRun>().empty()) << "the snapshot is still being merged";
  drive.feed(event::SnapshotAggregated{8, {}, false});
  EXPECT_EQ(drive.ended().outcome, Outcome::kFinished);
  EXPECT_THAT(drive.journal(), ElementsAre("generation_started", "checkpoint_committed", "checkpoint_committed",
                                           "snapshot_aggregated", "generation_ended"));
  EXPECT_EQ(drive.all<action::AppendMetrics>().size(), 8u);
}

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
  Drive drive(facts_of(1, 100));
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
  Drive drive(facts_of());
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
  Drive drive(facts_of());
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
    Drive drive(facts_of());
    drive.feed(event::Begin{});
    drive.feed(event::GroupStarted{"g1"});
    drive.exit(status);
    EXPECT_EQ(drive.ended().error.code, code);
    EXPECT_THAT(drive.ended().error.where, HasSubstr("launcher.log"));
  }
  Drive drive(facts_of());
  drive.feed(event::Begin{});
  drive.feed(event::GroupNotStarted{environment_error("no mpirun")});
  EXPECT_EQ(drive.ended().error.message, "no mpirun");
}

TEST_F(DecideTest, AStaleGenerationIsCutOff) {
  const auto actions = drive.feed(event::WorkerSaid{drive.connection(1), Generation(0), Heartbeat{}});
  ASSERT_EQ(Drive::of<action::Drop>(actions).size(), 1u);
  EXPECT_EQ(Drive::of<action::Drop>(actions)[0].connection, drive.connection(1));
}

TEST_F(DecideTest, AnOldGroupsMessagesCountForNothing) {
  drive.take_steps(0, 3);
  drive.lose(0), drive.lose(1);
  drive.exit(137);
  drive.join(2, 200);
  drive.forget();
  const auto state = drive.state().leases.newest();
  const auto actions =
      drive.feed(event::WorkerSaid{ConnectionId(100), Generation(1), StepDone{4, {{"kind", "train"}}}});
  EXPECT_EQ(Drive::of<action::Drop>(actions).size(), 1u);
  EXPECT_TRUE(Drive::of<action::AppendMetrics>(actions).empty());
  EXPECT_EQ(drive.state().leases.newest(), state);
  EXPECT_TRUE(drive.feed(event::ConnectionLost{ConnectionId(100), "late"}).empty());
}

TEST_F(DecideTest, WorkersOfNoUseAreRefused) {
  const auto refusal = [](const std::vector<Action>& actions) {
    const auto drops = Drive::of<action::Drop>(actions);
    return drops.size() == 1 && drops[0].farewell ? drops[0].farewell->message : std::string();
  };
  EXPECT_THAT(refusal(drive.come(0, 2)), HasSubstr("has its group"));
  Drive gathering(facts_of());
  gathering.feed(event::Begin{});
  gathering.feed(event::GroupStarted{"another"});
  EXPECT_THAT(refusal(gathering.come(0, 2)), HasSubstr("another group"));
  Drive fresh(facts_of());
  fresh.feed(event::Begin{});
  fresh.feed(event::GroupStarted{"g1"});
  EXPECT_THAT(refusal(fresh.come(0, 13)), HasSubstr("12 lanes"));
  EXPECT_THAT(refusal(fresh.come(0, 3)), HasSubstr("2 were started"));
  EXPECT_THAT(refusal(fresh.come(2, 2)), HasSubstr("rank 2"));
  EXPECT_EQ(refusal(fresh.come(0, 2)), "");
  EXPECT_THAT(refusal(fresh.come(0, 2)), HasSubstr("already"));
  EXPECT_TRUE(fresh.all<action::EndRun>().empty());
}

TEST(Decide, AnotherWayOfComputingIsRefusedByName) {
  for (const bool among_ranks : {true, false}) {
    Drive drive(facts_of());
    if (!among_ranks) drive.state().fingerprint = "AVX2";
    drive.feed(event::Begin{});
    drive.feed(event::GroupStarted{"g1"});
    if (among_ranks) drive.come(0, 2, "AVX2");
    drive.come(1, 2, "AVX512");
    EXPECT_TRUE(drive.all<action::Assign>().empty());
    drive.lose(0), drive.lose(1);
    drive.exit(143);
    EXPECT_EQ(drive.ended().error.code, ErrorCode::kUsage);
    EXPECT_THAT(drive.ended().error.message, HasSubstr("AVX512"));
    EXPECT_THAT(drive.ended().error.message, HasSubstr("AVX2"));
  }
}

TEST_F(DecideTest, WhatNoWorkerSaysCutsItOff) {
  const std::pair<int, Message> wrong[] = {
      {1, StepDone{1, {{"kind", "train"}}}},                    // only rank 0 reports
      {0, StepDone{5, {{"kind", "train"}}}},                    // beyond its lease
      {0, StepDone{-1, Json()}},                                //
      {0, PartWritten{7, "a", 1, std::string(64, 'a'), 2}},     // beyond its lease
      {0, PartWritten{1, "../a", 1, std::string(64, 'a'), 2}},  // outside the folder
      {0, Artifact{"evaluation", 0, "../../etc/passwd"}},       //
      {0, Artifact{"evaluation", 0, "/etc/passwd"}},            //
      {0, Artifact{"snapshot_part", 99, "snapshots/x"}},        //
      {1, NcclId{"00"}},                                        //
      {0, Finished{8}},                                         // not yet
      {0, StatusRequest{}},                                     //
      {0, Lease{}},                                             //
  };
  for (const auto& [rank, message] : wrong) {
    const auto drops = Drive::of<action::Drop>(drive.say(rank, message));
    ASSERT_EQ(drops.size(), 1u) << message_name(message);
    EXPECT_EQ(drops[0].connection, drive.connection(rank));
  }
}

TEST_F(DecideTest, TheNcclIdIsRelayedToTheOthers) {
  const auto sends = Drive::of<action::Send>(drive.say(0, NcclId{"abcd"}));
  ASSERT_EQ(sends.size(), 1u);
  EXPECT_EQ(sends[0].connection, drive.connection(1));
  EXPECT_EQ(std::get<NcclId>(sends[0].message).id_hex, "abcd");
}

TEST_F(DecideTest, ANewGroupWaitsForTheCheckpointOfTheOld) {
  drive.take_steps(0, 4);
  for (const char* file : {"a", "model.safetensors"}) drive.say(0, PartWritten{4, file, 1, std::string(64, 'a'), 2});
  drive.lose(0), drive.lose(1);
  drive.exit(137);
  EXPECT_EQ(drive.all<action::StartGroup>().size(), 1u) << "the partial folder is in use";
  drive.feed(event::CheckpointStored{4, "w4"});
  EXPECT_EQ(drive.all<action::StartGroup>().size(), 2u);
  drive.join(2, 200);
  EXPECT_EQ(drive.all<action::Assign>().back().assignment.start_step, 4);
}

TEST_F(DecideTest, ACheckpointIsWrittenWhileTrainingGoesOn) {
  drive.take_steps(0, 5);
  drive.say(1, PartWritten{4, "b", 1, std::string(64, 'b'), 2});
  const auto store =
      Drive::of<action::StoreCheckpoint>(drive.say(0, PartWritten{4, "model.safetensors", 1, std::string(64, 'a'), 2}));
  ASSERT_EQ(store.size(), 1u);
  EXPECT_EQ(store[0].generation, Generation(1));
  drive.feed(event::StopRequested{"test", false});
  drive.feed(event::CheckpointStored{4, "w4"});
  EXPECT_TRUE(drive.all<action::EndGroup>().empty()) << "steps that were taken since would be lost";
  const std::int64_t end = drive.leases().back().end_step;
  EXPECT_TRUE(drive.leases().back().stop);
  EXPECT_GE(end, 5);
  drive.take_steps(5, end);
  drive.checkpoint(end);
  for (int rank : {0, 1}) drive.say(rank, Finished{end});
  drive.exit(0);
  for (int rank : {0, 1}) drive.lose(rank);
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
}

TEST_F(DecideTest, ACheckpointThatCannotBeStoredEndsTheRun) {
  drive.take_steps(0, 4);
  for (const char* file : {"a", "model.safetensors"}) drive.say(0, PartWritten{4, file, 1, std::string(64, 'a'), 2});
  drive.feed(event::CheckpointNotStored{4, run_error("the disk is full")});
  EXPECT_EQ(drive.all<action::EndGroup>().size(), 1u);
  drive.lose(0), drive.lose(1);
  drive.exit(143);
  EXPECT_EQ(drive.ended().error.message, "the disk is full");
  EXPECT_THAT(drive.journal(), Contains("run_failed"));
  EXPECT_THAT(drive.journal(), Not(Contains("worker_lost")));
}

TEST_F(DecideTest, AJournalThatCannotBeWrittenEndsTheRun) {
  drive.take_steps(0, 2);
  drive.feed(event::RecordFailed{run_error("the disk is full")});
  EXPECT_EQ(drive.all<action::EndGroup>().size(), 1u);
  drive.lose(0), drive.lose(1);
  drive.exit(143);
  EXPECT_EQ(drive.ended().error.message, "the disk is full");
  // The end of the generation could not be recorded either: the shell says so, and the run ends all the same.
  drive.forget();
  drive.feed(event::RecordFailed{run_error("the disk is full")});
  EXPECT_EQ(drive.ended().outcome, Outcome::kFailed);
}

TEST(Decide, AGroupThatAPersonStarts) {
  RunFacts facts = facts_of();
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
  RunFacts facts = facts_of();
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
  RunFacts facts = facts_of();
  facts.supervised = false;
  Drive drive(facts);
  drive.feed(event::Begin{});
  drive.feed(event::GroupStarted{""});
  drive.feed(event::StopRequested{"SIGINT"});
  EXPECT_EQ(drive.ended().outcome, Outcome::kStopped);
}

TEST(Decide, AResumedRunThatLacksOnlyItsEvaluation) {
  Drive drive(facts_of());
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

TEST_F(DecideTest, WorkersThatDoNotLeaveAreEnded) {
  drive.take_steps(0, 8);
  drive.checkpoint(8);
  for (int rank : {0, 1}) drive.say(rank, Finished{8});
  drive.pass(31s);
  EXPECT_EQ(drive.all<action::EndGroup>().size(), 1u);
  drive.exit(143);
  drive.pass(3s);
  EXPECT_EQ(drive.all<action::Drop>().size(), 2u) << "orphans of an ended launcher lose their connection";
  drive.lose(0), drive.lose(1);
  EXPECT_EQ(drive.ended().outcome, Outcome::kFinished);
}

}  // namespace
}  // namespace plumbline
