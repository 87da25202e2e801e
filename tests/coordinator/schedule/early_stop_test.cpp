#include "coordinator/schedule/early_stop.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace plumbline {
namespace {

constexpr EarlyStopPolicy kPolicy{.every = 10, .patience = 2};

std::vector<MeasuredRate> rates(const std::vector<double>& values) {
  std::vector<MeasuredRate> measured;
  for (const double value : values) measured.push_back({10 * static_cast<std::int64_t>(measured.size()), value});
  return measured;
}

TEST(EarlyStop, WaitsForEachMeasurement) {
  EXPECT_EQ(furthest_step(kPolicy, {}, 0), 0) << "the start model's rate comes first";
  EXPECT_EQ(furthest_step(kPolicy, rates({0.5}), 0), 10);
  EXPECT_EQ(furthest_step(kPolicy, rates({0.5, 0.4}), 0), 20);
  EXPECT_EQ(furthest_step(kPolicy, rates({0.5, 0.4}), 14), 20) << "taken up between two measurements";
  EXPECT_EQ(furthest_step(kPolicy, rates({0.5, 0.4}), 27), 30) << "switched off for a while";
  EXPECT_EQ(furthest_step(kPolicy, {}, 20), 30) << "switched on in the middle of a run";
  EXPECT_EQ(furthest_step(kPolicy, {{0, 0.5}, {7, 0.4}}, 7), 10) << "`every` was another";
}

TEST(EarlyStop, EndsWhenPatienceDoes) {
  EXPECT_FALSE(early_end(kPolicy, {}));
  EXPECT_FALSE(early_end(kPolicy, rates({0.5})));
  EXPECT_FALSE(early_end(kPolicy, rates({0.5, 0.6})));
  EXPECT_EQ(early_end(kPolicy, rates({0.5, 0.6, 0.55})), 20) << "no better than the start model";
  EXPECT_EQ(early_end(kPolicy, rates({0.5, 0.5, 0.5})), 20) << "as low is not lower";
  EXPECT_FALSE(early_end(kPolicy, rates({0.5, 0.6, 0.4, 0.45, 0.39, 0.5})));
  EXPECT_EQ(early_end(kPolicy, rates({0.5, 0.6, 0.4, 0.45, 0.41, 0.1})), 40) << "what follows does not undo it";
}

TEST(EarlyStop, IsOffWithoutPatienceOrMeasurements) {
  for (const EarlyStopPolicy policy : {EarlyStopPolicy{10, 0}, EarlyStopPolicy{0, 2}}) {
    EXPECT_EQ(furthest_step(policy, rates({0.5}), 0), std::numeric_limits<std::int64_t>::max());
    EXPECT_FALSE(early_end(policy, rates({0.5, 0.6, 0.7, 0.8})));
  }
}

TEST(EarlyStop, TheLowestRateIsTheFirstOfItsKind) {
  EXPECT_EQ(lowest_rate({}), nullptr);
  const auto measured = rates({0.5, 0.3, 0.4, 0.3});
  EXPECT_EQ(lowest_rate(measured)->step, 10);
}

}  // namespace
}  // namespace plumbline
