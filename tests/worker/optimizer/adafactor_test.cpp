#include "worker/optimizer/adafactor.hpp"

#include <map>

#include "tests/worker/optimizer/small_parameters.hpp"

namespace plumbline {
namespace {

OptimizerConfig adafactor() {
  OptimizerConfig config;
  config.name = "adafactor";
  return config;
}

std::map<std::string, std::int64_t> elements_by_part(const Optimizer& optimizer) {
  std::map<std::string, std::int64_t> elements;
  for (const OptimizerPart& part : optimizer.state())
    for (const auto& [name, tensor] : part.tensors) elements[part.name] += tensor.numel();
  return elements;
}

TEST(AdafactorTest, AMatrixsStateIsOneNumberForEachRowAndColumn) {
  Parameters parameters = small_parameters();
  OptimizerConfig config = adafactor();
  EXPECT_EQ(elements_by_part(Adafactor(config, parameters)),
            (std::map<std::string, std::int64_t>{
                {"exp_avg_sq_row", 3 + 40 + 8}, {"exp_avg_sq_col", 7 + 11 + 2}, {"exp_avg_sq", 5}}));
  config.beta1 = 0.9;
  EXPECT_EQ(elements_by_part(Adafactor(config, parameters)).at("exp_avg"), 3 * 7 + 5 + 40 * 11 + 8 * 2);
}

TEST(AdafactorTest, AStepIsClippedByItsOwnRootMeanSquare) {
  Parameters parameters = small_parameters();
  const at::Tensor before = parameters.flat().detach().clone();
  Adafactor optimizer(adafactor(), parameters);
  optimizer.step(at::randn({parameters.flat_size()}), 1.0, 1, 0.5);
  optimizer.step(at::randn({parameters.flat_size()}) * 1e4, 1.0, 2, 0.0);  // A rate of zero: the moments alone move.
  const at::Tensor between = parameters.flat().detach().clone();
  EXPECT_LT((before - between).square().mean().sqrt().item<double>(), 0.5 + 1e-6);
  optimizer.step(at::randn({parameters.flat_size()}) * 1e9, 1.0, 3, 0.5);
  for (const auto& spec : parameters.specs()) {
    const at::Tensor moved = (parameters.flat().detach() - between).narrow(0, spec.offset, spec.size());
    EXPECT_NEAR(moved.square().mean().sqrt().item<double>(), 0.5, 1e-5) << spec.name;
  }
}

TEST(AdafactorTest, AScaledGradientIsThatGradientScaled) {
  Parameters first = small_parameters(), second = small_parameters();
  OptimizerConfig config = adafactor();
  config.weight_decay = 0.1, config.beta1 = 0.5;
  Adafactor a(config, first), b(config, second);
  for (int t = 1; t <= 4; ++t) {
    const at::Tensor gradient = at::randn({first.flat_size()}) * t;
    a.step(gradient, 0.25, t, 0.01);
    b.step(gradient * 0.25, 1.0, t, 0.01);
  }
  EXPECT_LT((first.flat() - second.flat()).abs().max().item<double>(), 1e-6);
}

TEST(AdafactorTest, GapsStayZeroAndStateThatIsCopiedGoesOnWithTheSameBits) {
  Parameters first = small_parameters(), second = small_parameters();
  OptimizerConfig config = adafactor();
  config.weight_decay = 0.01, config.scale_parameter = true, config.beta1 = 0.9;
  Adafactor a(config, first), b(config, second);
  const auto gradient = [&](int t) {
    at::Tensor flat = first.new_flat();
    for (const auto& spec : first.specs())
      flat.narrow(0, spec.offset, spec.size()).copy_(at::arange(spec.size()).add(t).sin());
    return flat;
  };
  for (int t = 1; t <= 3; ++t) a.step(gradient(t), 0.7, t, 1e-2);
  EXPECT_EQ(largest_gap(first), 0);
  second.flat().copy_(first.flat());
  const auto from = a.state(), to = b.state();
  for (std::size_t p = 0; p < from.size(); ++p)
    for (std::size_t i = 0; i < from[p].tensors.size(); ++i)
      at::Tensor(to[p].tensors[i].tensor).copy_(from[p].tensors[i].tensor);
  for (int t = 4; t <= 5; ++t) {
    a.step(gradient(t), 0.7, t, 1e-2);
    b.step(gradient(t), 0.7, t, 1e-2);
  }
  EXPECT_TRUE(at::equal(first.flat(), second.flat()));
}

}  // namespace
}  // namespace plumbline
