#include "coordinator/aggregate/bootstrap.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace plumbline {
namespace {

TEST(SplitMix, GivesThePublishedNumbers) {
  SplitMix random(1234567);  // the reference values of the public-domain C implementation
  EXPECT_EQ(random(), 6457827717110365317ull);
  EXPECT_EQ(random(), 3203168211198807973ull);
  EXPECT_EQ(random(), 9817491932198370423ull);
}

TEST(SplitMix, StaysBelowTheBoundAndReachesAll) {
  SplitMix random(1);
  std::vector<int> seen(7);
  for (int i = 0; i < 1000; ++i) ++seen.at(random.below(7));
  for (int count : seen) EXPECT_GT(count, 90);
}

TEST(Bootstrap, IsDeterministicAndHoldsTheMean) {
  std::vector<double> values;
  for (int i = 0; i < 200; ++i) values.push_back(i % 4 == 0);
  const Interval a = bootstrap_mean(values), b = bootstrap_mean(values), other = bootstrap_mean(values, 2);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_NE(a.low, other.low);
  // 0.25 ± 1.96·sqrt(0.25·0.75/200)
  EXPECT_NEAR(a.low, 0.25 - 0.060, 0.012);
  EXPECT_NEAR(a.high, 0.25 + 0.060, 0.012);
}

TEST(Bootstrap, OfEqualOrNoValuesHasNoWidth) {
  const std::vector<double> same(10, 0.5), none;
  EXPECT_EQ(bootstrap_mean(same).low, 0.5);
  EXPECT_EQ(bootstrap_mean(same).high, 0.5);
  EXPECT_EQ(bootstrap_mean(none).high, 0);
  EXPECT_EQ(mean(none), 0);
}

}  // namespace
}  // namespace plumbline
