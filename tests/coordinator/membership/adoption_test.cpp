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
  void come(int number) {
    Hello hello;
    hello.rank = number, hello.world = 0, hello.pid = 1000 + number, hello.host = "here", hello.group = "g";
    hello.generation = Generation(2);
    hello.mesh = "here:" + std::to_string(4000 + number), hello.fingerprint = "cpu";
    drive.feed(event::WorkerCame{ConnectionId(static_cast<std::uint64_t>(number + 1)), hello});
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

}  // namespace
}  // namespace plumbline
