#include "worker/optimizer/adamw.hpp"

#include <cmath>

#include "tests/worker/optimizer/small_parameters.hpp"

namespace plumbline {
namespace {

TEST(AdamWTest, FollowsThePapersFormulaAndDecaysMatricesOnly) {
  at::set_num_threads(1);
  Parameters parameters = small_parameters();
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
  Parameters first = small_parameters(), second = small_parameters();
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
  EXPECT_TRUE(at::equal(a.state()[1].tensors[2].tensor, b.state()[1].tensors[2].tensor));
  EXPECT_EQ(largest_gap(first), 0);
}

}  // namespace
}  // namespace plumbline
