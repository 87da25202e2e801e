// The losses of pairs and of undesired outputs from given logits, in float64: against TRL (tests/parity/
// make_objective_goldens.py) and against their own finite differences.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "common/core/json.hpp"
#include "tests/worker/objective/pairs.hpp"

namespace plumbline {
namespace {

at::Tensor tensor_of(const Json& json) {
  std::vector<double> flat;
  for (const Json& row : json)
    for (const Json& place : row)
      for (const Json& number : place) flat.push_back(number.get<double>());
  return at::tensor(flat, at::kDouble)
      .view({std::ssize(json), std::ssize(json[0]), std::ssize(json[0][0])})
      .requires_grad_(true);
}

/// What TRL computed: the repository's file, or the fresh one of tests/parity/check_trl.py.
const Json& golden() {
  static const Json json = [] {
    const char* fresh = std::getenv("PLUMBLINE_OBJECTIVE_GOLDENS");
    const auto kept = std::filesystem::path(PLUMBLINE_SOURCE_DIR) / "tests/parity/goldens/objectives.json";
    return read_json_file(fresh != nullptr ? fresh : kept).value();
  }();
  return json;
}

Pairs golden_pairs() {
  Pairs pairs(golden()["desired"].get<LabelRows>(), golden()["undesired"].get<LabelRows>());
  pairs.logits_RTV[0] = tensor_of(golden()["desired_logits"]);
  pairs.logits_RTV[1] = tensor_of(golden()["undesired_logits"]);
  const auto numbers = [](const char* tokens, int side) {
    return golden()["reference"][tokens][static_cast<std::size_t>(side)].get<std::vector<float>>();
  };
  pairs.reference = {numbers("all", 0), numbers("all", 1), numbers("differing", 0), numbers("differing", 1)};
  return pairs;
}

Pairs pairs_of(const Json& c) {
  Pairs pairs = golden_pairs();
  if (c.contains("kept"))
    pairs.keep(c["kept"][0].get<std::vector<std::size_t>>(), c["kept"][1].get<std::vector<std::size_t>>());
  return pairs;
}

NormObjective settings_of(const Json& c) {
  return {.objective = parse_objective(c["objective"].get<std::string>(), "golden").value(),
          .weight = 1,
          .beta = c["beta"].get<double>(),
          .label_smoothing = c["label_smoothing"].get<double>(),
          .sft_weight = c["sft_weight"].get<double>(),
          .unlikelihood_alpha = c.value("unlikelihood_alpha", 1.0),
          .pair_tokens = c["pair_tokens"] == "differing" ? PairTokens::kDiffering : PairTokens::kAll,
          .dpo_variant = c.value("dpo_variant", "") == "robust" ? DpoVariant::kRobust : DpoVariant::kSigmoid,
          .dpo_positive_lambda = c.value("dpo_positive_lambda", 0.0),
          .simpo_gamma = c.value("simpo_gamma", 0.0),
          .kto_desired_weight = c.value("kto_desired_weight", 1.0),
          .kto_undesired_weight = c.value("kto_undesired_weight", 1.0),
          .unlikelihood_level = c.value("unlikelihood_level", "") == "sequence" ? UnlikelihoodLevel::kSequence
                                                                                : UnlikelihoodLevel::kToken};
}

std::string name_of(const Json& c) { return c.dump(); }

TEST(PairsGolden, LossRewardsAndGradientAreTheOracles) {
  ASSERT_EQ(golden()["cases"].size(), 25u);
  for (const Json& c : golden()["cases"]) {
    SCOPED_TRACE(name_of(c));
    const Pairs pairs = pairs_of(c);
    const ObjectiveResult result = pairs.compute(settings_of(c), c.value("kl", 0.0));
    const NormSums& sums = result.sums[0];
    const auto count = static_cast<double>(pairs.totals.preferences + pairs.totals.demonstrations);
    EXPECT_NEAR(result.loss.item<double>(), c["loss"].get<double>(), 1e-9);
    EXPECT_NEAR(sums.loss, c["loss"].get<double>(), 1e-9);
    if (c.contains("rewards/chosen")) {
      const auto undesired = static_cast<double>(pairs.totals.preferences + pairs.totals.prohibitions);
      EXPECT_NEAR(sums.reward_desired / count, c["rewards/chosen"].get<double>(), 1e-9);
      EXPECT_NEAR(sums.reward_undesired / undesired, c["rewards/rejected"].get<double>(), 1e-9);
    }
    if (c.contains("rewards/accuracies")) {
      EXPECT_NEAR(sums.correct / count, c["rewards/accuracies"].get<double>(), 1e-9);
    }
    if (c.contains("kl")) {
      EXPECT_NEAR(std::max(0.0, c["mean_of_differences"].get<double>()), c["kl"].get<double>(), 1e-12);
      EXPECT_NEAR(sums.kl / static_cast<double>(pairs.totals.examples + pairs.totals.preferences),
                  c["kl"].get<double>(), 1e-12);
    }
    if (c.contains("log_odds_ratio")) {
      EXPECT_NEAR(sums.log_sigmoid_odds / count, c["log_odds_ratio"].get<double>(), 1e-9);
      EXPECT_NEAR(sums.log_odds / count, c["log_odds_chosen"].get<double>(), 1e-9);
    }
    result.loss.backward();
    double squares = 0, product = 0;
    for (const at::Tensor& logits : pairs.logits_RTV) {
      if (!logits.grad().defined()) continue;
      squares += logits.grad().square().sum().item<double>();
      product += (logits.grad() * logits.detach()).sum().item<double>();
    }
    EXPECT_NEAR(std::sqrt(squares), c["gradient_norm"].get<double>(), 1e-9);
    EXPECT_NEAR(product, c["gradient_times_logits"].get<double>(), 1e-9);
  }
}

/// A mean reward is compared relative to the rewards that it is a mean of: those of both signs may cancel.
TEST(PairsGolden, InFloat32LossAndRewardsAreTheOraclesWithinARelative1e5) {
  for (const Json& c : golden()["cases"]) {
    SCOPED_TRACE(name_of(c));
    Pairs pairs = pairs_of(c);
    for (auto& logits : pairs.logits_RTV) logits = logits.detach().to(at::kFloat).requires_grad_(true);
    const ObjectiveResult result = pairs.compute(settings_of(c), c.value("kl", 0.0));
    const auto loss = c["loss"].get<double>();
    EXPECT_NEAR(result.loss.item<double>(), loss, 1e-5 * std::abs(loss));
    if (!c.contains("rewards/chosen")) continue;
    const NormTotals& totals = pairs.totals;
    EXPECT_NEAR(result.sums[0].reward_desired / static_cast<double>(totals.preferences + totals.demonstrations),
                c["rewards/chosen"].get<double>(), 1e-5 * c["reward_sizes"][0].get<double>());
    EXPECT_NEAR(result.sums[0].reward_undesired / static_cast<double>(totals.preferences + totals.prohibitions),
                c["rewards/rejected"].get<double>(), 1e-5 * c["reward_sizes"][1].get<double>());
  }
}

/// TRL from 0.19 to 0.28 computes the numbers under "dropped".
TEST(PairsGolden, TheEndOfSequenceOfTheLongestOutputIsTheOracles) {
  const Json& batch = golden()["end_of_sequence"];
  Pairs pairs(batch["desired"].get<LabelRows>(), batch["undesired"].get<LabelRows>());
  pairs.logits_RTV[0] = tensor_of(batch["desired_logits"]);
  pairs.logits_RTV[1] = tensor_of(batch["undesired_logits"]);
  pairs.reference = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
  const ObjectiveResult result = pairs.compute({Objective::kDpo, 1, batch["beta"].get<double>(), 0, 0, 1});
  const NormSums& sums = result.sums[0];
  const auto expect = [&](double value, const std::function<double(const Json&)>& in) {
    EXPECT_NEAR(value, in(batch["whole"]), 1e-9);
    EXPECT_GT(std::abs(value - in(batch["dropped"])), 0.05) << "the end of sequence has no part in it";
  };
  expect(result.loss.item<double>(), [](const Json& of) { return of["loss"].get<double>(); });
  expect(sums.reward_desired / 2, [](const Json& of) { return of["rewards/chosen"].get<double>(); });
  expect(sums.reward_undesired / 2, [](const Json& of) { return of["rewards/rejected"].get<double>(); });
  for (const std::size_t side : {0, 1})
    expect(side == 0 ? sums.log_prob_desired : sums.log_prob_undesired, [&](const Json& of) {
      return of["log_probs"][side][0].get<double>() + of["log_probs"][side][1].get<double>();
    });
}

TEST(PairsGolden, SumsOfLogProbsAreThoseOfTheOracle) {
  const Pairs pairs = golden_pairs();
  for (const char* tokens : {"all", "differing"}) {
    const NormObjective norm{.objective = Objective::kCpo,
                             .weight = 1,
                             .beta = 1,
                             .label_smoothing = 0,
                             .sft_weight = 0,
                             .unlikelihood_alpha = 0,
                             .pair_tokens = std::string(tokens) == "all" ? PairTokens::kAll : PairTokens::kDiffering};
    const UsedRows used = rows_used(pairs.batch, {norm});
    const Labels labels = labels_of(pairs.batch, used);
    const at::Tensor values =
        score_logits(pairs.at_labels(labels, used), labels, used, Unlikelihood::kSkip).compared_R.detach();
    std::vector<double> expected = golden()["log_probs"][tokens][0].get<std::vector<double>>();
    for (const double value : golden()["log_probs"][tokens][1].get<std::vector<double>>()) expected.push_back(value);
    EXPECT_LT((values - at::tensor(expected, at::kDouble)).abs().max().item<double>(), 1e-12);
  }
}

/// Every case's gradient, place by place, by central differences of the value in `sums`.
TEST(Pairs, GradientsAreTheSlopesOfTheLosses) {
  for (const Json& c : golden()["cases"]) {
    SCOPED_TRACE(name_of(c));
    const NormObjective norm = settings_of(c);
    const double kl = c.value("kl", 0.0);
    Pairs pairs = pairs_of(c);
    pairs.compute(norm, kl).loss.backward();
    const at::NoGradGuard no_grad;
    for (at::Tensor& logits : pairs.logits_RTV) {
      const at::Tensor gradient = logits.grad().defined() ? logits.grad() : at::zeros_like(logits);
      auto* values = logits.mutable_data_ptr<double>();
      for (std::int64_t i = 0; i < logits.numel(); i += 7) {
        const double h = 1e-5, start = values[i];
        values[i] = start + h;
        const double above = pairs.compute(norm, kl).sums[0].loss;
        values[i] = start - h;
        const double below = pairs.compute(norm, kl).sums[0].loss;
        values[i] = start;
        EXPECT_NEAR((above - below) / (2 * h), gradient.view({-1})[i].item<double>(), 2e-8);
      }
    }
  }
}

/// TRL from 0.19 to 0.28 dropped the last column of encoder-decoder models: the end of sequence of the longest output.
TEST(Pairs, TheEndOfSequenceOfTheLongestOutputCounts) {
  Pairs pairs({{5, 1}, {6, 7, 8, 1}}, {{5, 9, 9, 9, 1}, {6, 1}});
  for (auto& logits : pairs.logits_RTV) logits = at::randn({2, &logits == pairs.logits_RTV ? 4 : 5, 12}, at::kDouble);
  pairs.reference = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
  const auto value_and_gradients = [&](const NormObjective& norm) {
    for (auto& logits : pairs.logits_RTV) logits = logits.detach().requires_grad_(true);
    const auto result = pairs.compute(norm);
    result.loss.backward();
    return result.sums[0];
  };
  for (const Objective objective : {Objective::kSft, Objective::kUnlikelihood, Objective::kDpo, Objective::kIpo,
                                    Objective::kKto, Objective::kOrpo, Objective::kCpo, Objective::kSimpo}) {
    SCOPED_TRACE(to_string(objective));
    const NormSums sums = value_and_gradients({objective, 1, 0.3, 0, 0.5, 1});
    const auto last = [&](int side, std::int64_t row, std::int64_t token) {
      return pairs.logits_RTV[side].grad()[row][token].abs().max().item<double>();
    };
    EXPECT_GT(last(0, 1, 3), 1e-6) << "the desired output's end of sequence has no gradient";
    if (objective == Objective::kSft) continue;
    EXPECT_GT(last(1, 0, 4), 1e-6) << "the undesired output's end of sequence has no gradient";
    double expected = 0;
    const at::Tensor log_probs = at::log_softmax(pairs.logits_RTV[1].detach(), -1);
    const LabelRows undesired{{5, 9, 9, 9, 1}, {6, 1}};
    for (std::int64_t r = 0; r < 2; ++r)
      for (std::size_t t = 0; t < undesired[static_cast<std::size_t>(r)].size(); ++t)
        expected +=
            log_probs[r][static_cast<std::int64_t>(t)][undesired[static_cast<std::size_t>(r)][t]].item<double>();
    EXPECT_NEAR(sums.log_prob_undesired, expected, 1e-12);
  }
}

TEST(Pairs, TokensThatBothOutputsShareHaveNoPartInADifferingMargin) {
  Pairs pairs = golden_pairs();
  for (const Objective objective : {Objective::kDpo, Objective::kIpo, Objective::kOrpo, Objective::kCpo,
                                    Objective::kSimpo, Objective::kUnlikelihood}) {
    SCOPED_TRACE(to_string(objective));
    for (auto& logits : pairs.logits_RTV) logits = logits.detach().requires_grad_(true);
    pairs
        .compute({.objective = objective,
                  .weight = 1,
                  .beta = 0.3,
                  .label_smoothing = 0,
                  .sft_weight = 0,
                  .unlikelihood_alpha = 1,
                  .pair_tokens = PairTokens::kDiffering})
        .loss.backward();
    for (int side = 0; side < 2; ++side) {
      if (objective == Objective::kUnlikelihood && side == 0) continue;
      const auto& outputs = side == 0 ? pairs.batch.desired : pairs.batch.undesired;
      for (std::size_t r = 0; r < outputs.differing.size(); ++r)
        for (std::int64_t t = 0; t < outputs.length[r]; ++t) {
          const bool differs = t >= outputs.differing[r].begin && t < outputs.differing[r].end;
          const double size = pairs.logits_RTV[side].grad()[static_cast<std::int64_t>(r)][t].abs().max().item<double>();
          EXPECT_EQ(size > 0, differs) << "side " << side << " row " << r << " token " << t;
        }
    }
  }
}

/// Outputs that a model is certain of, as fp32 gives them: p rounds to 1, or is the next number below.
TEST(Pairs, LogProbsNearZeroGiveFiniteLossesAndGradients) {
  for (const double certain : {0.0, -1e-300, -1e-12, -0x1p-25, -6e-8, -1e-4})
    for (const double other : {0.0, -1e-9, -0.5, -40.0, -3000.0})
      for (const bool is_desired : {true, false}) {
        PairLogProbs pair;
        (is_desired ? pair.desired : pair.undesired) = certain;
        (is_desired ? pair.undesired : pair.desired) = other;
        pair.desired_tokens = 3, pair.undesired_tokens = 2;
        for (const Objective objective :
             {Objective::kOrpo, Objective::kSimpo, Objective::kCpo, Objective::kDpo, Objective::kIpo}) {
          const PairLoss loss = pair_loss({objective, 1, 0.1, 0, 1, 1}, pair);
          for (const double number : {loss.loss, loss.slope_desired, loss.slope_undesired, loss.log_odds})
            EXPECT_TRUE(std::isfinite(number)) << to_string(objective) << " " << certain << " " << other;
          if (objective != Objective::kIpo) {  // Its margin may be too large.
            EXPECT_LE(loss.slope_desired, 0);
          }
        }
      }
  EXPECT_TRUE(std::isfinite(sequence_unlikelihood(0).value));
  EXPECT_TRUE(std::isfinite(sequence_unlikelihood(0).slope));
  EXPECT_EQ(sequence_unlikelihood(-3000).value, 0);
}

TEST(Pairs, ACertainOutputThroughLogitsIsFiniteForOrpo) {
  Pairs pairs({{5, 1}}, {{6, 1}});
  for (int side = 0; side < 2; ++side) {
    auto logits = at::zeros({1, 2, 12}, at::kFloat);
    logits[0][0][side == 0 ? 5 : 6] = 200;
    logits[0][1][1] = 200;
    pairs.logits_RTV[side] = logits.requires_grad_(true);
  }
  const auto result = pairs.compute({Objective::kOrpo, 1, 0.1, 0, 1, 1});
  EXPECT_TRUE(std::isfinite(result.loss.item<double>()));
  result.loss.backward();
  for (const auto& logits : pairs.logits_RTV) EXPECT_TRUE(logits.grad().isfinite().all().item<bool>());
}

TEST(Pairs, ASideWithoutDifferingTokensIsFinite) {
  Pairs pairs({{6, 7, 8}, {5, 1}}, {{6, 7, 8, 9}, {5, 1}});  // One output is the other's beginning; both are equal.
  for (auto& logits : pairs.logits_RTV)
    logits = at::randn({2, &logits == pairs.logits_RTV ? 3 : 4, 12}, at::kDouble).requires_grad_(true);
  pairs.reference = {{-1, -1}, {-1, -1}, {0, 0}, {-1, 0}};
  for (const Objective objective :
       {Objective::kDpo, Objective::kIpo, Objective::kOrpo, Objective::kCpo, Objective::kSimpo})
    for (const auto level : {UnlikelihoodLevel::kToken, UnlikelihoodLevel::kSequence}) {
      NormObjective norm{objective, 1, 0.1, 0, 0, 1, PairTokens::kDiffering};
      norm.unlikelihood_level = level;
      const auto result = pairs.compute(norm);
      EXPECT_TRUE(std::isfinite(result.loss.item<double>())) << to_string(objective);
      result.loss.backward();
      for (const auto& logits : pairs.logits_RTV) EXPECT_TRUE(logits.grad().isfinite().all().item<bool>());
    }
}

}  // namespace
}  // namespace plumbline
