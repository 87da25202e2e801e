#include "worker/generate/choose.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace plumbline {
namespace {

std::vector<std::int32_t> all_of(std::size_t vocabulary) {
  std::vector<std::int32_t> ids(vocabulary);
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

/// The share of draws that each token gets, over an even grid of uniform numbers.
std::map<std::int32_t, double> shares(const std::vector<float>& logits, const Decoding& decoding,
                                      const std::vector<std::int32_t>& candidates) {
  constexpr int kDraws = 20000;
  std::map<std::int32_t, double> share;
  for (int i = 0; i < kDraws; ++i)
    share[choose_sampled(logits, candidates, decoding, (i + 0.5) / kDraws)] += 1.0 / kDraws;
  return share;
}

const std::vector<float> kLogits = {std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};

Decoding drawn_at(double temperature) {
  Decoding decoding;
  decoding.temperature = temperature;
  return decoding;
}

TEST(Choose, GreedyTakesTheLargestAndTheFirstOfEquals) {
  const std::vector<float> logits = {1, 3, 3, 2};
  EXPECT_EQ(choose_greedy(logits, all_of(4)), 1);
  EXPECT_EQ(choose_greedy(logits, std::vector<std::int32_t>{0, 3}), 3);
  EXPECT_EQ(choose_greedy(logits, std::vector<std::int32_t>{2}), 2);
}

TEST(Choose, DrawsEachTokenAsOftenAsTheModelGivesIt) {
  const auto share = shares(kLogits, drawn_at(1), all_of(4));
  EXPECT_NEAR(share.at(0), 0.1, 1e-3);
  EXPECT_NEAR(share.at(1), 0.4, 1e-3);
  EXPECT_NEAR(share.at(2), 0.2, 1e-3);
  EXPECT_NEAR(share.at(3), 0.3, 1e-3);
}

TEST(Choose, TemperatureRaisesProbabilitiesToItsInverse) {
  const auto share = shares(kLogits, drawn_at(0.5), all_of(4));  // squares: 0.01 0.16 0.04 0.09 of 0.30
  EXPECT_NEAR(share.at(0), 0.01 / 0.30, 1e-3);
  EXPECT_NEAR(share.at(1), 0.16 / 0.30, 1e-3);
}

TEST(Choose, TopKAndTopPLeaveTheLikeliest) {
  Decoding two = drawn_at(1), nucleus = drawn_at(1), exact = drawn_at(1), both = drawn_at(1);
  two.top_k = 2;
  EXPECT_EQ(shares(kLogits, two, all_of(4)).size(), 2u);
  EXPECT_NEAR(shares(kLogits, two, all_of(4)).at(1), 4.0 / 7, 1e-3);
  nucleus.top_p = 0.75;  // 0.4 + 0.3 do not reach it
  EXPECT_EQ(shares(kLogits, nucleus, all_of(4)).size(), 3u);
  exact.top_p = 0.35;  // the first alone holds it
  EXPECT_EQ(shares(kLogits, exact, all_of(4)).size(), 1u);
  both.top_k = 3, both.top_p = 0.5;  // after top-k 0.4 is 4/9 of what is left
  EXPECT_EQ(shares(kLogits, both, all_of(4)).size(), 2u);
}

TEST(Choose, TopKAboveTheVocabularyChangesNothing) {
  Decoding many = drawn_at(1);
  many.top_k = 100;
  EXPECT_EQ(shares(kLogits, many, all_of(4)), shares(kLogits, drawn_at(1), all_of(4)));
}

TEST(Choose, CandidatesShareWhatTheOthersLeave) {
  const auto share = shares(kLogits, drawn_at(1), {0, 3});
  EXPECT_EQ(share.size(), 2u);
  EXPECT_NEAR(share.at(3), 0.75, 1e-3);
}

TEST(Choose, EdgesOfTheUniformNumber) {
  EXPECT_EQ(choose_sampled(kLogits, all_of(4), drawn_at(1), 0), 0);
  EXPECT_EQ(choose_sampled(kLogits, all_of(4), drawn_at(1), std::nextafter(1.0, 0.0)), 3);
}

TEST(Choose, LogitsThatAreNoDistributionAreAnsweredGreedily) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(choose_sampled(std::vector<float>{0, infinity, 0}, all_of(3), drawn_at(1), 0.9), 1);
  EXPECT_EQ(choose_sampled(std::vector<float>{-infinity, -infinity}, all_of(2), drawn_at(1), 0.9), 0);
  EXPECT_EQ(choose_sampled(std::vector<float>{1, nan}, all_of(2), drawn_at(1), 0.9), 0);
  EXPECT_EQ(choose_sampled(std::vector<float>{-infinity, 2, -infinity}, all_of(3), drawn_at(1), 0.0), 1);
}

TEST(Choose, UniformNumbersAreSpreadAndDependOnEveryPart) {
  EXPECT_EQ(uniform_of(1, 2, 3, 4), uniform_of(1, 2, 3, 4));
  for (const double other : {uniform_of(2, 2, 3, 4), uniform_of(1, 3, 3, 4), uniform_of(1, 2, 4, 4),
                             uniform_of(1, 2, 3, 5), uniform_of(1, 3, 2, 4), uniform_of(1, 2, 4, 3)})
    EXPECT_NE(other, uniform_of(1, 2, 3, 4));
  double sum = 0, squares = 0;
  constexpr int kMany = 30000;
  for (int i = 0; i < kMany; ++i) {
    const double u = uniform_of(7, static_cast<std::uint64_t>(i / 300), static_cast<std::uint64_t>(i / 60 % 5),
                                static_cast<std::uint64_t>(i % 60));
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u, squares += u * u;
  }
  EXPECT_NEAR(sum / kMany, 0.5, 0.01);
  EXPECT_NEAR(squares / kMany, 1.0 / 3, 0.01);
}

}  // namespace
}  // namespace plumbline
