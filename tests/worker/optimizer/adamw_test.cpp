#include "worker/optimizer/adamw.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace plumbline {
namespace {

Parameters make_parameters() {
  Parameters p({{"shared.weight", {3, 7}},
                {"encoder.block.0.layer.0.layer_norm.weight", {5}},
                {"lm_head.weight", {40, 11}},
                {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", {8, 2}}},
               at::kCPU);
  at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
  generator.set_current_seed(3);
  p.flat().normal_(0, 1, generator);
  return p;
}

TEST(AdamWTest, FollowsThePapersFormulaAndDecaysMatricesOnly) {
  at::set_num_threads(1);
  Parameters parameters = make_parameters();
  OptimizerConfig config;
  config.weight_decay = 0.1, config.beta1 = 0.8, config.beta2 = 0.95, config.epsilon = 1e-6;
  AdamW optimizer(config, parameters);
  at::Tensor w = parameters.flat().to(at::kDouble), m = at::zeros_like(w), v = at::zeros_like(w),
             decay = at::zeros_like(w);
  for (const auto& spec : parameters.specs())
    if (spec.name == "shared.weight" || spec.name == "lm_head.weight")
      decay.narrow(0, spec.offset, spec.size()).fill_(0.1);
  for (int t = 1; t <= 5; ++t) {
    const at::Tensor g = at::randn({parameters.flat_size()});
    const double rate = 0.01 * t, scale = t == 3 ? 0.25 : 1.0;
    optimizer.step(g, scale, t, rate);
    const at::Tensor gd = g.to(at::kDouble) * scale;
    m = 0.8 * m + 0.2 * gd;
    v = 0.95 * v + 0.05 * gd * gd;
    w = w * (1 - rate * decay) - rate * (m / (1 - std::pow(0.8, t))) / (at::sqrt(v / (1 - std::pow(0.95, t))) + 1e-6);
    for (const auto& spec : parameters.specs())
      EXPECT_LT(
          (parameters.get(spec.name).detach().reshape({-1}).to(at::kDouble) - w.narrow(0, spec.offset, spec.size()))
              .abs()
              .max()
              .item<double>(),
          1e-5)
          << spec.name << " at " << t;
  }
}

TEST(AdamWTest, GapsStayZeroAndEqualInputsGiveEqualBits) {
  Parameters first = make_parameters(), second = make_parameters();
  for (Parameters* p : {&first, &second}) {  // zero the gaps that normal_ filled
    at::Tensor keep = p->new_flat();
    for (const auto& spec : p->specs()) keep.narrow(0, spec.offset, spec.size()).fill_(1);
    p->flat().mul_(keep);
  }
  OptimizerConfig config;
  config.weight_decay = 0.01;
  AdamW a(config, first), b(config, second);
  at::Tensor gradient = first.new_flat();
  for (const auto& spec : first.specs()) gradient.narrow(0, spec.offset, spec.size()).fill_(0.5);
  for (int t = 1; t <= 3; ++t) {
    a.step(gradient, 0.7, t, 1e-2);
    b.step(gradient, 0.7, t, 1e-2);
  }
  EXPECT_TRUE(at::equal(first.flat(), second.flat()));
  EXPECT_TRUE(at::equal(a.exp_avg_sq(), b.exp_avg_sq()));
  const std::int64_t end = first.specs()[0].offset + first.specs()[0].size();
  EXPECT_EQ(first.flat().narrow(0, end, first.specs()[1].offset - end).abs().max().item<float>(), 0);
}

TEST(GradientNormTest, IsTheL2NormWhateverTheSize) {
  for (const std::int64_t n : {1, 17, 65'536, 65'537, 300'000}) {
    const at::Tensor g = at::randn({n});
    const double expected = std::sqrt(g.to(at::kDouble).square().sum().item<double>());
    EXPECT_NEAR(gradient_norm(g), expected, 1e-10 * expected) << n;
    EXPECT_EQ(gradient_norm(g), gradient_norm(g.clone()));
  }
  EXPECT_EQ(gradient_norm(at::zeros({100})), 0);
}

TEST(LearningRateTest, WarmsUpThenFollowsItsSchedule) {
  OptimizerConfig config;
  config.learning_rate = 2, config.warmup_steps = 10, config.final_fraction = 0.1;
  for (const char* schedule : {"cosine", "linear", "inverse_sqrt", "constant"}) {
    config.schedule = schedule;
    EXPECT_DOUBLE_EQ(learning_rate(config, 1, 110), 0.2) << schedule;
    EXPECT_DOUBLE_EQ(learning_rate(config, 10, 110), 2.0) << schedule;
    for (std::int64_t t = 11; t < 110; ++t)
      EXPECT_LE(learning_rate(config, t + 1, 110), learning_rate(config, t, 110)) << schedule;
  }
  config.schedule = "cosine";
  EXPECT_DOUBLE_EQ(learning_rate(config, 60, 110), 2 * 0.55);
  EXPECT_DOUBLE_EQ(learning_rate(config, 110, 110), 0.2);
  config.schedule = "linear";
  EXPECT_DOUBLE_EQ(learning_rate(config, 60, 110), 2 * 0.55);
  EXPECT_DOUBLE_EQ(learning_rate(config, 110, 110), 0.2);
  config.schedule = "inverse_sqrt";
  EXPECT_DOUBLE_EQ(learning_rate(config, 40, 110), 1.0);
  config.schedule = "constant";
  EXPECT_DOUBLE_EQ(learning_rate(config, 110, 110), 2.0);
  config.warmup_steps = 0;
  EXPECT_DOUBLE_EQ(learning_rate(config, 1, 1), 2.0);
}

}  // namespace
}  // namespace plumbline
