// Scripted schedules of a static group: how it trains, and whom the coordinator listens to.
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

TEST(Decide, TheFirstThingIsToLaunch) {
  Drive drive(static_facts());
  const auto starts = Drive::of<action::StartGroup>(drive.feed(event::Begin{}));
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].generation, Generation(1));
  EXPECT_EQ(starts[0].workers, 2);
  EXPECT_TRUE(drive.feed(event::Begin{}).empty()) << "once";
}

TEST(Decide, AllAreAssignedTogetherOnceAllAreThere) {
  Drive drive(static_facts(3));
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
  Drive gathering(static_facts());
  gathering.feed(event::Begin{});
  gathering.feed(event::GroupStarted{"another"});
  EXPECT_THAT(refusal(gathering.come(0, 2)), HasSubstr("another group"));
  Drive fresh(static_facts());
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
    Drive drive(static_facts());
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
