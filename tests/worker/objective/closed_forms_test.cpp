// The losses of pairs and of undesired outputs against their formulas, and what of two outputs differs.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/worker/objective/pairs.hpp"
#include "worker/objective/stable.hpp"

namespace plumbline {
namespace {

TEST(ClosedForms, DpoPositiveAddsItsPenaltyOnlyWhereTheDesiredOutputFell) {
  NormObjective norm{Objective::kDpo, 1, 0.2, 0, 0, 1};
  norm.dpo_positive_lambda = 7;
  const PairLogProbs fell{-12, -20, -10, -15, 4, 5}, rose{-9, -20, -10, -15, 4, 5};
  const auto expected = [](double h) { return std::log1p(std::exp(-0.2 * h)); };
  EXPECT_NEAR(dpo_pair(norm, fell).loss, expected(3 - 7 * 2), 1e-12);
  EXPECT_NEAR(dpo_pair(norm, rose).loss, expected(6), 1e-12);
  EXPECT_NEAR(dpo_pair(norm, fell).reward_desired, -0.4, 1e-12) << "rewards are without the penalty";
  EXPECT_NEAR(dpo_pair(norm, fell).slope_desired, 8 * -dpo_pair(norm, fell).slope_undesired, 1e-12);
  norm.dpo_positive_lambda = 0;
  EXPECT_NEAR(dpo_pair(norm, fell).loss, expected(3), 1e-12);
}

TEST(ClosedForms, EachPairLossIsItsFormula) {
  const PairLogProbs p{-12, -20, -10, -15, 4, 5};
  const auto sigma = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto loss = [&](NormObjective norm) { return pair_loss(norm, p).loss; };
  EXPECT_NEAR(loss({Objective::kDpo, 1, 0.2, 0.1, 0, 1}), -0.9 * std::log(sigma(0.6)) - 0.1 * std::log(sigma(-0.6)),
              1e-12);
  EXPECT_NEAR(loss({.objective = Objective::kDpo,
                    .weight = 1,
                    .beta = 0.2,
                    .label_smoothing = 0.1,
                    .sft_weight = 0,
                    .unlikelihood_alpha = 1,
                    .dpo_variant = DpoVariant::kRobust}),
              (-0.9 * std::log(sigma(0.6)) + 0.1 * std::log(sigma(-0.6))) / 0.8, 1e-12);
  EXPECT_NEAR(loss({Objective::kIpo, 1, 0.2, 0, 0, 1}), std::pow(-2.0 / 4 + 5.0 / 5 - 2.5, 2), 1e-12);
  EXPECT_NEAR(loss({Objective::kCpo, 1, 0.2, 0, 0, 1}), -std::log(sigma(0.2 * 8)), 1e-12);
  NormObjective simpo{Objective::kSimpo, 1, 2, 0, 0, 1};
  simpo.simpo_gamma = 0.5;
  EXPECT_NEAR(loss(simpo), -std::log(sigma(2 * (-3.0 + 4.0) - 0.5)), 1e-12);
  const double ratio = std::exp(-3.0) / (1 - std::exp(-3.0)) / (std::exp(-4.0) / (1 - std::exp(-4.0)));
  EXPECT_NEAR(loss({Objective::kOrpo, 1, 0.3, 0, 0, 1}), -0.3 * std::log(sigma(std::log(ratio))), 1e-12);
  EXPECT_NEAR(sequence_unlikelihood(-0.7).value, -std::log(1 - std::exp(-0.7)), 1e-12);
}

TEST(ClosedForms, KtoWeighsEachClassAgainstHowFarTheModelMoved) {
  NormObjective norm{Objective::kKto, 1, 0.2, 0, 0, 1};
  norm.kto_desired_weight = 1.5, norm.kto_undesired_weight = 0.5;
  const auto sigma = [](double x) { return 1 / (1 + std::exp(-x)); };
  EXPECT_NEAR(kto_output(norm, true, -9, -12, 2).loss, 1.5 * (1 - sigma(0.2 * (3.0 - 2))), 1e-12);
  EXPECT_NEAR(kto_output(norm, false, -9, -12, 2).loss, 0.5 * (1 - sigma(0.2 * (2.0 - 3))), 1e-12);
  EXPECT_NEAR(kto_output(norm, false, -9, -12, 2).reward, 0.6, 1e-12);
  EXPECT_LT(kto_output(norm, true, -9, -12, 2).slope, 0);
  EXPECT_GT(kto_output(norm, false, -9, -12, 2).slope, 0);
  for (const double far : {-4000.0, 4000.0})
    for (const bool is_desired : {true, false}) {
      EXPECT_TRUE(std::isfinite(kto_output(norm, is_desired, far, 0, 0).loss));
      EXPECT_TRUE(std::isfinite(kto_output(norm, is_desired, far, 0, 0).slope));
    }
}

TEST(ClosedForms, LogOneMinusExpKeepsItsDigits) {
  EXPECT_NEAR(log1mexp(-1e-6), std::log(1e-6) - 0.5e-6, 1e-12);  // 1 - exp(-x) = x - x^2/2 + …
  EXPECT_NEAR(log1mexp(-50), -std::exp(-50.0), 1e-30);
  EXPECT_EQ(log1mexp(0), log1mexp(-0x1p-25));
  EXPECT_NEAR(odds(-std::log(2.0)), 1, 1e-15);
}

TEST(DifferingSpans, LeaveOutWhatBothShareAtTheBeginningAndTheEnd) {
  const auto spans = [](std::vector<std::int64_t> d, std::vector<std::int64_t> u) { return differing_spans(d, u); };
  const auto expect = [](const DifferingSpans& s, TokenSpan d, TokenSpan u) {
    EXPECT_EQ(s.desired, d);
    EXPECT_EQ(s.undesired, u);
  };
  expect(spans({5, 6, 7, 8, 1}, {5, 6, 9, 8, 1}), {2, 3}, {2, 3});     // one token
  expect(spans({5, 6, 7, 1}, {8, 9, 1}), {0, 3}, {0, 2});              // the end of sequence is shared
  expect(spans({5, 6, 1}, {5, 6, 7, 1}), {2, 3}, {2, 4});              // tokens more: EOS against 7 EOS
  expect(spans({5, 6, 6, 7, 1}, {5, 6, 6, 6, 7, 1}), {3, 4}, {3, 5});  // one more of a run: 7 against 6 7
  expect(spans({9, 5, 6, 1}, {5, 6, 1}), {0, 2}, {0, 1});              // one more at the beginning: 9 5 against 5
  expect(spans({5, 6}, {5, 6, 7}), {2, 2}, {2, 3});                    // cut
  expect(spans({5, 6, 1}, {5, 6, 1}), {3, 3}, {3, 3});                 // equal
  expect(spans({1}, {5, 1}), {0, 1}, {0, 2});                          // an empty output
}

}  // namespace
}  // namespace plumbline
