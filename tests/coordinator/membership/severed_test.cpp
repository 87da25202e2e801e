// Whom to part with when workers cannot reach each other, and what decide() makes of a Ready that says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/membership/severed.hpp"
#include "tests/coordinator/membership/elastic_drive.hpp"

namespace plumbline {
namespace {

using Ranks = std::vector<int>;

TEST(WhomToPartWith, NobodyWithoutABrokenWay) {
  EXPECT_EQ(whom_to_part_with({{0, "a", 5}, {1, "b", 5}}, {}), Ranks());
  EXPECT_EQ(whom_to_part_with({{0, "a", 5}, {2, "b", 5}}, {{0, 1}}), Ranks()) << "rank 1 is lost by now";
  EXPECT_EQ(whom_to_part_with({}, {{0, 1}}), Ranks());
}

TEST(WhomToPartWith, TheHigherRankOfTwoThatAreAlike) {
  EXPECT_EQ(whom_to_part_with({{0, "a", 5}, {1, "b", 5}, {2, "c", 5}}, {{1, 2}}), Ranks({2}));
}

TEST(WhomToPartWith, TheHostWithTheMostBrokenWays) {
  EXPECT_EQ(whom_to_part_with({{0, "a", 5}, {1, "b", 5}, {2, "c", 5}, {3, "d", 5}}, {{0, 1}, {1, 2}, {1, 3}}),
            Ranks({1}));
  EXPECT_EQ(whom_to_part_with({{0, "a", 5}, {1, "b", 5}, {2, "c", 5}}, {{0, 1}, {0, 2}, {1, 2}}), Ranks({1, 2}))
      << "all three of them: one is left";
}

TEST(WhomToPartWith, AllWorkersOfAHost) {
  EXPECT_EQ(whom_to_part_with({{0, "a", 5}, {1, "a", 5}, {2, "b", 5}, {3, "b", 5}}, {{1, 3}}), Ranks({2, 3}));
  EXPECT_EQ(whom_to_part_with({{0, "a", 5}, {1, "b", 5}, {2, "b", 5}}, {{0, 2}}), Ranks({0})) << "the smaller host";
}

TEST(WhomToPartWith, WhoAloneHoldsTheNewestStepStays) {
  EXPECT_EQ(whom_to_part_with({{0, "a", 4}, {1, "b", 5}}, {{0, 1}}), Ranks({0}));
  EXPECT_EQ(whom_to_part_with({{0, "a", 4}, {1, "b", 5}, {2, "c", 4}}, {{0, 1}, {1, 2}}), Ranks({0, 2}))
      << "although two go for one";
  EXPECT_EQ(whom_to_part_with({{0, "a", 5}, {1, "b", 5}, {2, "c", 4}}, {{0, 2}}), Ranks({2}));
}

TEST(WhomToPartWith, OneOfTwoOnTheSameHost) {
  EXPECT_EQ(whom_to_part_with({{0, "a", 5}, {1, "a", 5}, {2, "a", 5}}, {{0, 2}}), Ranks({2}));
  EXPECT_EQ(whom_to_part_with({{0, "a", 5}, {1, "a", 5}, {2, "b", 5}}, {{0, 1}, {1, 2}}), Ranks({1, 2}))
      << "the smaller host first; what is broken within the other is left";
}

/// Three workers on three hosts have taken four steps.
class SeveredTest : public ElasticTest {
 protected:
  SeveredTest() {
    drive.facts().chooses_hosts = true;
    for (int number = 0; number < 3; ++number)
      come(number, "cpu", std::string(1, static_cast<char>('a' + number))), ready(number);
    take_steps(0, 0, 4);
    drive.forget();
  }
  std::vector<Action> cannot_reach(int number, Ranks ranks, std::int64_t step = 4) {
    return say(number, Ready{step, "aa", std::move(ranks)});
  }
  [[nodiscard]] std::vector<int> killed() const {
    std::vector<int> numbers;
    for (const auto& kill : drive.all<action::KillWorker>()) numbers.push_back(kill.number);
    return numbers;
  }
};

TEST_F(SeveredTest, OneOfTheTwoGoesAndIsLaunchedElsewhere) {
  EXPECT_EQ(regroups(cannot_reach(1, {2})), 2) << "the generation is over for all";
  ready(0, 4);
  EXPECT_TRUE(killed().empty()) << "rank 2 may hold a step that nobody else does";
  ready(2, 4);
  EXPECT_EQ(killed(), Ranks({2}));
  EXPECT_THAT(drive.journal(), testing::ElementsAre("worker_lost", "generation_ended", "generation_started"));
  EXPECT_THAT(drive.all<action::AppendJournal>().front().data.at("reason").get<std::string>(),
              testing::AllOf(testing::HasSubstr("1001 on b"), testing::HasSubstr("cannot reach each other")));
  ASSERT_EQ(assignments().size(), 2u) << "the others do not wait for another";
  EXPECT_EQ(assignments()[0].start_step, 4);
  const auto starts = Drive::of<action::StartWorker>(exit(2));
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_TRUE(starts[0].elsewhere);
}

TEST_F(SeveredTest, ItIsNotLetInAgain) {
  cannot_reach(1, {2}), ready(0, 4), ready(2, 4);
  EXPECT_THAT(refusal(come(2, "cpu", "c")), testing::HasSubstr("reach"));
  exit(2);
  EXPECT_THAT(refusal(come(2, "cpu", "c")), testing::HasSubstr("reach")) << "nor in place of the next one";
  EXPECT_EQ(Drive::of<action::Welcome>(come(2, "cpu", "d")).size(), 1u);
}

TEST_F(SeveredTest, WhereNoHostCanBeChosenItIsLaunchedAgain) {
  drive.facts().chooses_hosts = false;
  cannot_reach(1, {2}), ready(0, 4), ready(2, 4);
  const auto starts = Drive::of<action::StartWorker>(exit(2));
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_FALSE(starts[0].elsewhere);
}

TEST_F(SeveredTest, WhoHoldsTheNewestStepStays) {
  cannot_reach(1, {2}), ready(0, 4), ready(2, 5);
  EXPECT_EQ(killed(), Ranks({1}));
  EXPECT_EQ(assignments().front().start_step, 5);
}

TEST_F(SeveredTest, OneThatIsLostMeanwhileIsNotMissed) {
  cannot_reach(1, {2}), ready(0, 4);
  die(2);
  ASSERT_EQ(assignments().size(), 2u);
  EXPECT_EQ(drive.journal(), (std::vector<std::string>{"worker_lost", "generation_ended", "generation_started"}));
  EXPECT_THAT(drive.all<action::AppendJournal>().front().data.at("reason").get<std::string>(),
              testing::Not(testing::HasSubstr("reach")));
}

TEST_F(SeveredTest, TheNextGenerationBeginsWithAllThatIsKnown) {
  cannot_reach(1, {2}), ready(0, 4), ready(2, 4);
  drive.forget();
  ready(0, 4), ready(1, 4);  // A break that tells nothing of a way.
  EXPECT_TRUE(killed().empty());
  EXPECT_EQ(assignments().size(), 2u);
}

TEST_F(SeveredTest, RanksThatAreNoneOfTheGenerationSayNothing) {
  cannot_reach(1, {1, 7}), ready(0, 4), ready(2, 4);
  EXPECT_TRUE(killed().empty());
  EXPECT_EQ(assignments().size(), 3u);
}

TEST_F(SeveredTest, AStartThatAHostDoesNotAllowIsTriedOnAnother) {
  die(1), ready(0, 4), ready(2, 4);
  drive.forget();
  for (int attempt = 0; attempt < drive.facts().max_restarts; ++attempt) {
    const auto starts = Drive::of<action::StartWorker>(exit(1, 6));
    ASSERT_EQ(starts.size(), 1u) << attempt;
    EXPECT_TRUE(starts[0].elsewhere);
  }
  exit(1, 6);
  EXPECT_TRUE(drive.state().left_out.contains(1)) << "no host allows it";
}

TEST_F(SeveredTest, AStartThatNoHostWouldAllowIsNot) {
  die(1), ready(0, 4), ready(2, 4);
  exit(1, 2);
  EXPECT_TRUE(drive.state().left_out.contains(1));
}

}  // namespace
}  // namespace plumbline
