// The losses of pairs and of undesired outputs from given logits, in float64: against TRL (tests/parity/
// make_objective_goldens.py), against closed forms, and against their own finite differences.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "common/core/json.hpp"
#include "worker/objective/assembly.hpp"
#include "worker/objective/stable.hpp"
#include "worker/objective/terms.hpp"

namespace plumbline {
namespace {

using Rows = std::vector<std::vector<std::int64_t>>;

/// Preferences with logits in place of a model.
struct Pairs {
  Batch batch;
  at::Tensor logits_RTV[2];  ///< of desired and undesired outputs, fp64
  ReferenceLogProbs reference;
  NormTotals totals;

  Pairs(const Rows& desired, const Rows& undesired) {
    for (std::size_t b = 0; b < desired.size(); ++b) {
      batch.rows.push_back(static_cast<std::int64_t>(b));
      batch.norm.push_back(0);
      batch.kind.push_back(ExampleKind::kPreference);
      batch.weight.push_back(1.0f);
      const DifferingSpans spans = differing_spans(desired[b], undesired[b]);
      batch.desired.differing.push_back(spans.desired);
      batch.undesired.differing.push_back(spans.undesired);
    }
    fill(batch.desired, desired);
    fill(batch.undesired, undesired);
    totals.examples = totals.preferences = std::ssize(desired);
    for (const auto& row : desired) totals.desired_tokens += std::ssize(row);
    for (const auto& row : undesired) totals.undesired_tokens += std::ssize(row);
  }

  static void fill(OutputTensors& outputs, const Rows& rows) {
    std::size_t longest = 0;
    for (const auto& row : rows) longest = std::max(longest, row.size());
    std::vector<std::int64_t> flat;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      outputs.batch_row.push_back(static_cast<std::int64_t>(r));
      outputs.length.push_back(std::ssize(rows[r]));
      for (std::size_t t = 0; t < longest; ++t) flat.push_back(t < rows[r].size() ? rows[r][t] : -100);
    }
    outputs.labels_RT = at::tensor(flat, at::kLong).view({std::ssize(rows), static_cast<std::int64_t>(longest)});
  }

  /// The logits of all rows at their labels, as a model would give them.
  [[nodiscard]] at::Tensor at_labels(const Labels& labels, const UsedRows& used) const {
    std::vector<at::Tensor> sides;
    for (int side = 0; side < 2; ++side) {
      const auto& rows = side == 0 ? used.desired : used.undesired;
      if (rows.empty()) continue;
      const at::Tensor chosen_RTV = logits_RTV[side].index_select(0, at::tensor(rows, at::kLong));
      sides.push_back(labels.T >= chosen_RTV.size(1)
                          ? at::constant_pad_nd(chosen_RTV, {0, 0, 0, labels.T - chosen_RTV.size(1)}, 0.0)
                          : chosen_RTV.narrow(1, 0, labels.T));
    }
    const at::Tensor logits_TRV = at::cat(sides).transpose(0, 1);
    return logits_TRV.reshape({labels.T * labels.R, -1}).index_select(0, labels.position_P);
  }

  /// Examples of all kinds in place of preferences: the rows that have a desired output, and those with an undesired
  /// one.
  void keep(const std::vector<std::size_t>& desired, const std::vector<std::size_t>& undesired) {
    std::vector<int> sides(batch.kind.size(), 0);
    for (const std::size_t b : desired) sides[b] |= 1;
    for (const std::size_t b : undesired) sides[b] |= 2;
    totals = {};
    for (std::size_t b = 0; b < sides.size(); ++b) {
      batch.kind[b] = sides[b] == 3   ? ExampleKind::kPreference
                      : sides[b] == 2 ? ExampleKind::kProhibition
                                      : ExampleKind::kDemonstration;
      ++totals.examples;
      ++(sides[b] == 3 ? totals.preferences : sides[b] == 2 ? totals.prohibitions : totals.demonstrations);
      if (sides[b] & 1) totals.desired_tokens += batch.desired.length[b];
      if (sides[b] & 2) totals.undesired_tokens += batch.undesired.length[b];
    }
  }

  [[nodiscard]] ObjectiveResult compute(const NormObjective& norm, double kl = 0) const {
    const std::vector<NormObjective> norms{norm};
    const UsedRows used = rows_used(batch, norms);
    const Labels labels = labels_of(batch, used);
    const auto scored = score_logits(at_labels(labels, used), labels, used, unlikelihood_used(batch, used, norms));
    return assemble_objective(scored, batch, used, norms, {totals},
                              needs_reference(norm.objective) ? &reference : nullptr, {kl});
  }
};

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
  Pairs pairs(golden()["desired"].get<Rows>(), golden()["undesired"].get<Rows>());
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
  Pairs pairs(batch["desired"].get<Rows>(), batch["undesired"].get<Rows>());
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
    const Rows undesired{{5, 9, 9, 9, 1}, {6, 1}};
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
