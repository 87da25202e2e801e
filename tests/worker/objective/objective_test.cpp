#include "worker/objective/objective.hpp"

#include <cmath>

#include "tests/worker/golden.hpp"

namespace plumbline {
namespace {

const char* const kGradientNames[] = {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                                      "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                                      "encoder.block.1.layer.0.SelfAttention.q.weight",
                                      "decoder.block.1.layer.1.EncDecAttention.k.weight",
                                      "decoder.block.0.layer.2.layer_norm.weight",
                                      "encoder.final_layer_norm.weight"};

/// Rows `chosen` of the golden batch, as make_batch would give them.
Batch batch_of(const Golden& golden, const std::vector<std::int64_t>& chosen) {
  Batch batch;
  batch.rows = chosen;
  batch.source_BS = golden["source"].index_select(0, at::tensor(chosen, at::kLong));
  batch.source_mask_BS = batch.source_BS.ne(0);
  std::vector<std::int64_t> sides[2];
  for (std::size_t b = 0; b < chosen.size(); ++b) {
    const auto kind = static_cast<ExampleKind>(golden["kinds"][chosen[b]].item<std::int64_t>());
    batch.kind.push_back(kind);
    batch.norm.push_back(0);
    batch.weight.push_back(golden["weights"][chosen[b]].item<float>());
    if (kind != ExampleKind::kProhibition) sides[0].push_back(static_cast<std::int64_t>(b));
    if (kind != ExampleKind::kDemonstration) sides[1].push_back(static_cast<std::int64_t>(b));
  }
  for (int side = 0; side < 2; ++side) {
    auto& output = side == 0 ? batch.desired : batch.undesired;
    output.batch_row = sides[side];
    if (sides[side].empty()) continue;
    std::vector<std::int64_t> rows;
    for (const auto b : sides[side]) rows.push_back(chosen[static_cast<std::size_t>(b)]);
    const at::Tensor tokens = golden[side == 0 ? "desired" : "undesired"].index_select(0, at::tensor(rows, at::kLong));
    const std::int64_t longest = tokens.ne(0).sum(1).max().item<std::int64_t>();
    const at::Tensor cut = tokens.narrow(1, 0, longest);
    output.input_RT = shift_right(cut);
    output.labels_RT = cut.masked_fill(cut.eq(0), -100);
    for (std::int64_t r = 0; r < cut.size(0); ++r) {
      output.length.push_back(cut[r].ne(0).sum().item<std::int64_t>());
      output.differing.push_back({0, output.length.back()});
    }
  }
  return batch;
}

ReferenceLogProbs reference_of(const Golden& golden, const Batch& batch) {
  ReferenceLogProbs reference;
  for (const auto b : batch.desired.batch_row)
    reference.desired.push_back(golden["reference"][batch.rows[static_cast<std::size_t>(b)]][0].item<float>());
  for (const auto b : batch.undesired.batch_row)
    reference.undesired.push_back(golden["reference"][batch.rows[static_cast<std::size_t>(b)]][1].item<float>());
  return reference;
}

NormTotals totals_of(const Batch& batch) {
  NormTotals totals;
  for (const auto kind : batch.kind) totals.preferences += kind == ExampleKind::kPreference ? 1 : 0;
  totals.examples = static_cast<std::int64_t>(batch.kind.size());
  totals.desired_tokens = batch.desired.labels_RT.ge(0).sum().item<std::int64_t>();
  totals.undesired_tokens = batch.undesired.labels_RT.ge(0).sum().item<std::int64_t>();
  return totals;
}

NormObjective settings(const Golden& golden, Objective objective, double weight = 1.0) {
  return {objective,
          weight,
          golden.numbers["beta"],
          golden.numbers["label_smoothing"],
          golden.numbers["sft_weight"],
          golden.numbers["unlikelihood_alpha"]};
}

class ObjectiveTest : public testing::TestWithParam<std::tuple<const char*, Objective>> {
 protected:
  ObjectiveTest() : gradient_(golden_.model->parameters().new_flat()) {
    golden_.model->parameters().bind_gradient(gradient_);
  }
  ObjectiveResult run(const std::vector<std::int64_t>& rows, double weight = 1.0, std::optional<DropoutKey> key = {}) {
    const Batch batch = batch_of(golden_, rows);
    const ReferenceLogProbs reference = reference_of(golden_, batch);
    return compute_objective(*golden_.model, batch, {settings(golden_, objective_, weight)}, {totals_}, &reference,
                             key);
  }
  Golden golden_{std::get<0>(GetParam())};
  Objective objective_ = std::get<1>(GetParam());
  std::string key_ = objective_ == Objective::kSft ? "sft" : objective_ == Objective::kDpo ? "dpo" : "unlikelihood";
  NormTotals totals_ = totals_of(batch_of(golden_, {0, 1, 2, 3}));
  at::Tensor gradient_;
};
INSTANTIATE_TEST_SUITE_P(All, ObjectiveTest,
                         testing::Combine(testing::Values("gated", "relu"),
                                          testing::Values(Objective::kSft, Objective::kUnlikelihood, Objective::kDpo)));

TEST_P(ObjectiveTest, LossAndGradientsAreThoseOfThePapersFormula) {
  auto result = run({0, 1, 2, 3});
  const double loss = golden_.numbers[key_];
  EXPECT_NEAR(result.loss.item<double>(), loss, 1e-5 * loss);
  EXPECT_NEAR(result.sums[0].loss, loss, 1e-5 * loss);
  result.loss.backward();
  const double norm = golden_.numbers[key_ + "_gradient_norm"];
  EXPECT_NEAR(gradient_.to(at::kDouble).norm().item<double>(), norm, 1e-4 * norm);
  for (const char* name : kGradientNames) {
    const at::Tensor& expected = golden_[key_ + "." + name];
    EXPECT_LT(largest_difference(golden_.model->parameters().get(name).grad(), expected),
              1e-4 * expected.abs().max().item<double>())
        << name;
  }
}

TEST_P(ObjectiveTest, CuttingTheBatchChangesNeitherLossNorGradient) {
  run({0, 1, 2, 3}).loss.backward();
  const at::Tensor whole = gradient_.clone();
  gradient_.zero_();
  double loss = 0;
  for (const auto& rows : {std::vector<std::int64_t>{2}, {3, 1}, {0}}) {
    auto part = run(rows);
    part.loss.backward();
    loss += part.sums[0].loss;
  }
  EXPECT_NEAR(loss, golden_.numbers[key_].get<double>(), 1e-4);
  EXPECT_LT(largest_difference(gradient_, whole), 2e-5 * whole.abs().max().item<double>());
}

TEST_P(ObjectiveTest, NormWeightScalesTheLossThatTrains) {
  const auto result = run({0, 1, 2, 3}, 2.5);
  EXPECT_NEAR(result.loss.item<double>(), 2.5 * result.sums[0].loss, 1e-9);
}

TEST_P(ObjectiveTest, TheSameKeyGivesTheSameBits) {
  const auto first = run({0, 1, 2, 3}), again = run({0, 1, 2, 3});
  EXPECT_EQ(first.loss.item<double>(), again.loss.item<double>());
}

TEST_P(ObjectiveTest, GradientIsTheSlopeOfTheLoss) {
  run({0, 1, 2, 3}).loss.backward();
  // Along the gradient: d loss / d s = |g|. Central differences at two widths, extrapolated; fp32 holds three digits.
  const at::NoGradGuard no_grad;
  at::Tensor& flat = golden_.model->parameters().flat();
  const at::Tensor start = flat.clone(), direction = gradient_ / gradient_.norm();
  const auto loss_at = [&](double s) {
    flat.copy_(start + s * direction);
    return run({0, 1, 2, 3}).sums[0].loss;
  };
  const auto difference = [&](double h) { return (loss_at(h) - loss_at(-h)) / (2 * h); };
  const double h = 1e-3, slope = gradient_.norm().item<double>();
  EXPECT_NEAR((4 * difference(h / 2) - difference(h)) / 3, slope, 0.005 * slope);
}

TEST_P(ObjectiveTest, RowsWithoutAUseAddNothing) {
  auto result = run({2});  // a prohibition
  if (objective_ == Objective::kUnlikelihood) {
    EXPECT_GT(result.sums[0].loss, 0);
    return;
  }
  EXPECT_EQ(result.loss.item<double>(), 0);
  result.loss.backward();
  EXPECT_EQ(gradient_.abs().max().item<float>(), 0);
}

TEST_P(ObjectiveTest, SumsHoldWhatTheReportNeeds) {
  const auto sums = run({0, 1, 2, 3}).sums[0];
  const at::Tensor desired = golden_["log_prob_desired"], undesired = golden_["log_prob_undesired"];
  double nll = 0, lp[2] = {0, 0}, reward[2] = {0, 0}, correct = 0;
  const double beta = golden_.numbers["beta"];
  for (std::int64_t i = 0; i < 4; ++i) {
    const auto kind = static_cast<ExampleKind>(golden_["kinds"][i].item<std::int64_t>());
    const double d = desired[i].item<double>(), u = undesired[i].item<double>();
    if (kind != ExampleKind::kProhibition) nll -= d;
    if (kind != ExampleKind::kPreference || objective_ == Objective::kSft) continue;
    lp[0] += d, lp[1] += u;
    const double rd = beta * (d - golden_["reference"][i][0].item<double>()),
                 ru = beta * (u - golden_["reference"][i][1].item<double>());
    const bool dpo = objective_ == Objective::kDpo;
    if (dpo) reward[0] += rd, reward[1] += ru;
    correct += dpo ? rd > ru : d > u;
  }
  EXPECT_NEAR(sums.nll_desired, nll, 1e-3);
  EXPECT_NEAR(sums.log_prob_desired, lp[0], 1e-3);
  EXPECT_NEAR(sums.log_prob_undesired, lp[1], 1e-3);
  EXPECT_NEAR(sums.reward_desired, reward[0], 1e-3);
  EXPECT_NEAR(sums.reward_undesired, reward[1], 1e-3);
  EXPECT_EQ(sums.correct, correct);
}

TEST(ScoreTest, GivesTheLogProbsOfBothSides) {
  const Golden golden("gated");
  const Batch batch = batch_of(golden, {0, 1, 2, 3});
  const ReferenceLogProbs scores = score(*golden.model, batch);
  ASSERT_EQ(scores.desired.size(), 3u);
  ASSERT_EQ(scores.undesired.size(), 3u);
  for (std::size_t r = 0; r < 3; ++r) {
    EXPECT_NEAR(scores.desired[r], golden["log_prob_desired"][batch.desired.batch_row[r]].item<double>(), 1e-4);
    EXPECT_NEAR(scores.undesired[r], golden["log_prob_undesired"][batch.undesired.batch_row[r]].item<double>(), 1e-4);
  }
}

TEST(ManyNormsTest, EachNormKeepsItsOwnObjectiveAndWeight) {
  const Golden golden("gated");
  Batch batch = batch_of(golden, {0, 1, 2, 3});
  const ReferenceLogProbs reference = reference_of(golden, batch);
  batch.norm = {0, 1, 2, 2};
  const std::vector<NormObjective> norms{settings(golden, Objective::kDpo, 2.0), settings(golden, Objective::kSft, 0.5),
                                         settings(golden, Objective::kUnlikelihood, 3.0)};
  std::vector<NormTotals> totals(3);
  for (auto& t : totals) t.desired_tokens = 10, t.undesired_tokens = 10, t.preferences = 2;
  const auto result = compute_objective(*golden.model, batch, norms, totals, &reference, {});
  ASSERT_EQ(result.sums.size(), 3u);
  double expected = 0;
  for (std::size_t n = 0; n < 3; ++n) {
    EXPECT_GT(result.sums[n].loss, 0);
    expected += norms[n].weight * result.sums[n].loss;
  }
  EXPECT_NEAR(result.loss.item<double>(), expected, 1e-9);
}

TEST(UnlikelihoodTest, ACertainTokenGivesAFiniteLossAndAGradient) {
  Golden golden("gated");
  const at::Tensor gradient = golden.model->parameters().new_flat();
  golden.model->parameters().bind_gradient(gradient);
  {  // A head so large that p(label) rounds to 1.
    const at::NoGradGuard no_grad;
    for (const auto& spec : golden.model->parameters().specs())
      if (spec.name == "lm_head.weight")
        golden.model->parameters().flat().narrow(0, spec.offset, spec.size()).mul_(200);
  }
  Batch batch = batch_of(golden, {2});
  at::Tensor most_likely;
  {
    const at::NoGradGuard no_grad;
    const at::Tensor memory = golden.model->encode(batch.source_BS, batch.source_mask_BS);
    most_likely =
        golden.model->logits(golden.model->decode(batch.undesired.input_RT, memory, batch.source_mask_BS)).argmax(-1);
  }
  batch.undesired.labels_RT = most_likely;
  NormTotals totals;
  totals.undesired_tokens = most_likely.numel();
  auto result =
      compute_objective(*golden.model, batch, {settings(golden, Objective::kUnlikelihood)}, {totals}, nullptr, {});
  EXPECT_TRUE(std::isfinite(result.loss.item<double>()));
  EXPECT_GT(result.loss.item<double>(), 10);
  result.loss.backward();
  EXPECT_TRUE(gradient.isfinite().all().item<bool>());
  EXPECT_GT(gradient.abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace plumbline
