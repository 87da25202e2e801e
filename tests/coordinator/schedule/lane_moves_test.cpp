#include "coordinator/schedule/lane_moves.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace plumbline {
namespace {

using testing::ElementsAre;

TEST(LaneMovesTest, EvenWhereAllAreAlikeOrNothingIsKnown) {
  EXPECT_THAT(shares_for({0, 0, 0}, 12), ElementsAre(4, 4, 4));
  EXPECT_THAT(shares_for({0.2, 0.2, 0.2}, 12), ElementsAre(4, 4, 4));
  EXPECT_THAT(shares_for({0.2, 0.205, 0.2}, 12), ElementsAre(4, 4, 4));
  EXPECT_THAT(shares_for({0.3}, 7), ElementsAre(7));
}

TEST(LaneMovesTest, TheSlowGetFewer) {
  EXPECT_THAT(shares_for({0.1, 0.3}, 12), ElementsAre(9, 3));
  EXPECT_THAT(shares_for({0.1, 0.1, 0.4}, 12), ElementsAre(6, 5, 1));
  EXPECT_THAT(shares_for({100.0, 0.1}, 8), ElementsAre(1, 7)) << "nobody is left without";
}

TEST(LaneMovesTest, TheUnknownCountsAsTheMedian) {
  EXPECT_THAT(shares_for({0.1, 0, 0.1, 0.4}, 13), ElementsAre(4, 4, 4, 1));
}

TEST(LaneMovesTest, NoOtherSharesAreFaster) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> seconds(0.05, 1.0);
  for (int trial = 0; trial < 200; ++trial) {
    const LanePace pace{seconds(random), seconds(random), seconds(random)};
    const LaneShares shares = shares_for(pace, 9);
    EXPECT_EQ(std::accumulate(shares.begin(), shares.end(), 0), 9);
    double best = 1e9;
    for (int a = 1; a <= 7; ++a)
      for (int b = 1; a + b <= 8; ++b) best = std::min(best, slowest_rank({a, b, 9 - a - b}, pace));
    const double even = slowest_rank({3, 3, 3}, pace), found = slowest_rank(shares, pace);
    EXPECT_TRUE(found <= best + 1e-12 || (found == even && best > 0.9 * even)) << testing::PrintToString(pace);
  }
}

TEST(LaneMovesTest, AMoveMustBeWorthIt) {
  EXPECT_TRUE(is_worth_moving({4, 4, 4}, {0.1, 0.1, 0.4}, 12));
  EXPECT_FALSE(is_worth_moving({6, 5, 1}, {0.1, 0.1, 0.4}, 12)) << "they have moved";
  EXPECT_FALSE(is_worth_moving({4, 4, 4}, {0.1, 0.1, 0.12}, 12)) << "less than a fifth";
  EXPECT_FALSE(is_worth_moving({4, 4, 4}, {0.0001, 0.0001, 0.001}, 12)) << "a few milliseconds";
  EXPECT_TRUE(is_worth_moving({6, 5, 1}, {0.1, 0.1, 0.1}, 12)) << "the slow one has recovered";
  EXPECT_FALSE(is_worth_moving({6, 6}, {0, 0}, 12));
}

TEST(LaneSharesTest, AreRangesInTheOrderOfRanks) {
  const LaneShares shares{5, 1, 6};
  EXPECT_EQ(lanes_of(0, shares).end, 5);
  EXPECT_EQ(lanes_of(2, shares).begin, 6);
  EXPECT_EQ(lanes_of(2, shares).end, 12);
  EXPECT_TRUE(is_whole(shares, 3, 12));
  EXPECT_FALSE(is_whole(shares, 3, 13));
  EXPECT_FALSE(is_whole(shares, 2, 12));
  EXPECT_FALSE(is_whole({12, 0}, 2, 12));
  EXPECT_FALSE(is_whole({2147483647, 2147483647, 14}, 3, 12));
  EXPECT_THAT(even_shares(5, 12), ElementsAre(2, 2, 3, 2, 3));
}

}  // namespace
}  // namespace plumbline
