// Workers that are heard and do not get on, and lanes that move away from slow ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/membership/drive.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

/// Three workers in training; each says what the test wants it to.
class HangsTest : public testing::Test {
 protected:
  explicit HangsTest(bool elastic = true) : drive(facts_of(elastic)) {
    drive.feed(event::Begin{});
    drive.feed(event::GroupStarted{"g1"});
    for (int number = 0; number < 3; ++number) {
      Hello hello;
      hello.rank = number, hello.world = elastic ? 0 : 3, hello.pid = 1000 + number;
      hello.host = "node-" + std::to_string(number), hello.group = "g1", hello.fingerprint = "cpu";
      hello.mesh = "here:" + std::to_string(4000 + number);
      drive.feed(event::WorkerCame{drive.connection(number), hello});
    }
    if (elastic)
      for (int number = 0; number < 3; ++number) drive.say(number, Ready{});
    for (int rank = 0; rank < 3; ++rank) said_[rank] = {0, "training", 1, 0, "", {}, 0};
  }
  static RunFacts facts_of(bool elastic) {
    RunFacts facts;
    facts.elastic = elastic;
    facts.workers = 3;
    facts.lease.steps = 1000;
    facts.worker_timeout = 10s;
    facts.hang_least = 20s;
    return facts;
  }
  /// A second in which the ranks of `getting_on` do work; the others say what they said before.
  void second(const std::set<int>& getting_on) {
    drive.pass(1s);
    for (auto& [rank, heartbeat] : said_) {
      if (getting_on.contains(rank)) ++heartbeat.work;
      if (drive.state().phase == GroupPhase::kTraining && drive.state().members.contains(rank))
        drive.say(rank, heartbeat);
    }
  }
  /// The connections that were asked for their stacks, and why.
  [[nodiscard]] std::vector<std::pair<ConnectionId, std::string>> asked() const {
    std::vector<std::pair<ConnectionId, std::string>> found;
    for (const auto& send : drive.all<action::Send>())
      if (const auto* request = std::get_if<StacksRequest>(&send.message))
        found.emplace_back(send.connection, request->reason);
    return found;
  }
  [[nodiscard]] std::vector<Json> lost() const {
    std::vector<Json> found;
    for (const auto& append : drive.all<action::AppendJournal>())
      if (append.event == "worker_lost") found.push_back(append.data);
    return found;
  }

  Drive drive;
  std::map<int, Heartbeat> said_;
};

class StaticHangsTest : public HangsTest {
 protected:
  StaticHangsTest() : HangsTest(false) {}
};

TEST_F(HangsTest, WhoNeitherGetsOnNorWaitsIsAskedForItsStacksAndGivenUp) {
  for (int i = 0; i < 5; ++i) second({0, 1, 2});
  said_[0].waits_in = said_[2].waits_in = "all_to_all";
  for (int i = 0; i < 20; ++i) second({});
  EXPECT_TRUE(asked().empty()) << "twenty seconds are allowed";
  for (int i = 0; i < 3; ++i) second({});
  ASSERT_EQ(asked().size(), 1u);
  EXPECT_EQ(asked()[0].first, drive.connection(1));
  EXPECT_THAT(asked()[0].second, HasSubstr("stage \"training\""));
  EXPECT_TRUE(lost().empty());
  drive.say(1, Artifact{"stacks", 0, "logs/stacks-node-1-1001.txt"});
  ASSERT_EQ(lost().size(), 1u);
  EXPECT_EQ(lost()[0].at("rank"), 1);
  EXPECT_EQ(lost()[0].at("host"), "node-1");
  EXPECT_THAT(lost()[0].at("reason").get<std::string>(), HasSubstr("logs/stacks-node-1-1001.txt"));
  EXPECT_EQ(drive.all<action::KillWorker>().at(0).number, 1);
}

TEST_F(HangsTest, WhoWritesNoStacksIsGivenUpToo) {
  for (int i = 0; i < 3; ++i) second({0, 1, 2});
  for (int i = 0; i < 22; ++i) second({0, 2});
  ASSERT_EQ(asked().size(), 1u);
  for (int i = 0; i < 6; ++i) second({0, 2});
  ASSERT_EQ(lost().size(), 1u);
  EXPECT_THAT(lost()[0].at("reason").get<std::string>(), HasSubstr("did not write its stacks"));
}

TEST_F(HangsTest, WhoGetsOnAgainIsKept) {
  for (int i = 0; i < 3; ++i) second({0, 1, 2});
  for (int i = 0; i < 22; ++i) second({0, 2});
  ASSERT_EQ(asked().size(), 1u);
  for (int i = 0; i < 30; ++i) second({0, 1, 2});
  EXPECT_TRUE(lost().empty());
}

TEST_F(HangsTest, PatienceGrowsWithWhatTheRunHasSeen) {
  second({0, 1, 2});
  for (int i = 0; i < 8; ++i) second({0, 2});  // Rank 1 takes nine seconds for something, as others may.
  second({0, 1, 2});
  for (int i = 0; i < 80; ++i) second({0, 2});
  EXPECT_TRUE(asked().empty()) << "ten times nine seconds";
  for (int i = 0; i < 15; ++i) second({0, 2});
  EXPECT_EQ(asked().size(), 1u);
}

TEST_F(HangsTest, AStageThatNobodyHasBeenThroughHasLong) {
  for (auto& [rank, heartbeat] : said_) heartbeat.phase = "reference";
  for (int i = 0; i < 600; ++i) second({});
  EXPECT_TRUE(asked().empty());
}

TEST_F(HangsTest, WhereNobodyGetsOnWhatTheyShareMayBeToBlame) {
  for (int i = 0; i < 3; ++i) second({0, 1, 2});
  for (int i = 0; i < 300; ++i) second({});
  EXPECT_TRUE(asked().empty()) << "a file system that does not answer for five minutes";
  second({0, 1, 2});
  EXPECT_EQ(drive.state().generation, Generation(1));
  for (int i = 0; i < 2000; ++i) second({});
  EXPECT_EQ(asked().size(), 3u) << "half an hour is the end of it";
}

TEST_F(HangsTest, WhoWaitsForACheckpointToBeStoredDoesNotHang) {
  for (int i = 0; i < 3; ++i) second({0, 1, 2});
  drive.take_steps(0, 2);
  for (auto& [rank, heartbeat] : said_) heartbeat.step = 2;
  for (const char* file : {"a", "model.safetensors"}) drive.say(0, PartWritten{2, file, 1, std::string(64, 'a'), 2});
  for (auto& [rank, heartbeat] : said_) heartbeat.waits_in = kWaitsForCoordinator;
  for (int i = 0; i < 300; ++i) second({});
  EXPECT_TRUE(asked().empty());
  EXPECT_EQ(drive.state().phase, GroupPhase::kTraining);
}

TEST_F(HangsTest, WhereAllWaitTheOneBehindIsAtFault) {
  for (int i = 0; i < 3; ++i) second({0, 1, 2});
  for (auto& [rank, heartbeat] : said_) heartbeat.waits_in = "all_to_all", heartbeat.calls = rank == 2 ? 40 : 41;
  for (int i = 0; i < 25; ++i) second({});
  ASSERT_EQ(asked().size(), 1u);
  EXPECT_EQ(asked()[0].first, drive.connection(2));
  EXPECT_THAT(asked()[0].second, HasSubstr("number 40, \"all_to_all\""));
}

TEST_F(HangsTest, WhereAllWaitInOneCallTheOneThatIsWaitedForIsAtFault) {
  for (int i = 0; i < 3; ++i) second({0, 1, 2});
  for (auto& [rank, heartbeat] : said_) heartbeat.waits_in = "all_to_all", heartbeat.calls = 41;
  said_[0].waits_for = {1}, said_[2].waits_for = {1}, said_[1].waits_for = {0};
  for (int i = 0; i < 25; ++i) second({});
  ASSERT_EQ(asked().size(), 1u);
  EXPECT_EQ(asked()[0].first, drive.connection(1));
}

TEST_F(HangsTest, WhereNobodyCanBeNamedTheGroupIsMadeAnew) {
  for (int i = 0; i < 3; ++i) second({0, 1, 2});
  for (auto& [rank, heartbeat] : said_) heartbeat.waits_in = "all_to_all", heartbeat.calls = 41;
  said_[0].waits_for = {1}, said_[1].waits_for = {0};
  for (int i = 0; i < 25; ++i) second({});
  EXPECT_TRUE(asked().empty());
  EXPECT_EQ(drive.state().phase, GroupPhase::kRegrouping);
  EXPECT_TRUE(lost().empty()) << "not before it shows who does not leave";
}

TEST_F(StaticHangsTest, AHungRankEndsTheGroupWhichIsStartedAgain) {
  for (int i = 0; i < 3; ++i) second({0, 1, 2});
  for (int i = 0; i < 22; ++i) second({0, 2});
  ASSERT_EQ(asked().size(), 1u);
  drive.say(1, Artifact{"stacks", 0, "logs/stacks.txt"});
  ASSERT_EQ(lost().size(), 1u);
  EXPECT_EQ(lost()[0].at("rank"), 1);
  EXPECT_EQ(drive.state().phase, GroupPhase::kEnding);
  for (int rank = 0; rank < 3; ++rank) drive.lose(rank);
  drive.exit(143);
  EXPECT_EQ(drive.all<action::StartGroup>().size(), 2u);
}

// --- lanes

class LanesTest : public HangsTest {
 protected:
  /// Steps in which the ranks take so many milliseconds a lane.
  void train(std::int64_t from, std::int64_t to, const std::array<double, 3>& milliseconds) {
    for (std::int64_t step = from + 1; step <= to; ++step) {
      drive.advance(100ms);
      for (int rank = 0; rank < 3; ++rank) {
        Heartbeat& heartbeat = said_[rank];
        heartbeat.step = step, ++heartbeat.work;
        heartbeat.lane_seconds = milliseconds.at(static_cast<std::size_t>(rank)) / 1000;
        drive.say(rank, heartbeat);
      }
      drive.say(0, StepDone{step, {{"kind", "train"}, {"step", step}, {"seconds", 0.1}}});
    }
  }
  /// All have taken the granted steps and are ready for the next generation.
  void regroup() {
    const std::int64_t end = drive.state().leases.end();
    for (int rank = 0; rank < 3; ++rank) drive.say(rank, Ready{end, "aa"});
  }
};

TEST_F(LanesTest, MoveAwayFromASlowRankAndBack) {
  EXPECT_THAT(drive.state().shares, ElementsAre(4, 4, 4));
  train(0, 40, {50, 50, 200});
  ASSERT_TRUE(drive.state().leases.regroups());
  const std::int64_t moved = drive.state().leases.end();
  regroup();
  EXPECT_EQ(drive.state().generation, Generation(2));
  EXPECT_THAT(drive.state().shares, ElementsAre(6, 5, 1));
  EXPECT_THAT(drive.all<action::Assign>().back().assignment.shares, ElementsAre(6, 5, 1));
  EXPECT_EQ(drive.leases().back().lane_begin, 11);
  EXPECT_EQ(drive.leases().back().lane_end, 12);
  train(moved, moved + 40, {50, 50, 50});
  ASSERT_TRUE(drive.state().leases.regroups()) << "it has recovered";
  regroup();
  EXPECT_THAT(drive.state().shares, ElementsAre(4, 4, 4));
  EXPECT_TRUE(drive.all<action::Assign>().back().assignment.shares.empty()) << "even shares need no words";
  EXPECT_TRUE(lost().empty());
}

TEST_F(LanesTest, StayWhereTheGainIsSmall) {
  train(0, 100, {50, 50, 58});
  EXPECT_FALSE(drive.state().leases.regroups());
}

TEST_F(LanesTest, StayTowardsTheEnd) {
  drive.facts().lease.steps = 80;
  train(0, 70, {50, 50, 500});
  EXPECT_FALSE(drive.state().leases.regroups());
}

}  // namespace
}  // namespace plumbline
