// Both optimizers against torch's AdamW and Transformers' Adafactor (tests/parity/make_optimizer_goldens.py).
#include "worker/optimizer/optimizer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "common/core/json.hpp"

namespace plumbline {
namespace {

OptimizerConfig config_of(const Json& json) {
  OptimizerConfig config;
  config.name = json.at("name").get<std::string>();
  config.weight_decay = json.value("weight_decay", 0.0);
  if (json.contains("beta1")) config.beta1 = json.at("beta1").get<double>();
  config.beta2 = json.value("beta2", config.beta2);
  config.epsilon = json.value("epsilon", config.epsilon);
  config.scale_parameter = json.value("scale_parameter", false);
  return config;
}

void fill(const Parameters& parameters, const Json& values, at::Tensor& flat) {
  for (const auto& spec : parameters.specs())
    flat.narrow(0, spec.offset, spec.size())
        .copy_(at::tensor(values.at(spec.name).get<std::vector<double>>(), at::kDouble));
}

/// The largest difference from the golden, in units of the larger of 1 and the golden's magnitude.
double worst_of(const Parameters& parameters, const Json& golden) {
  double worst = 0;
  for (const auto& spec : parameters.specs()) {
    const auto expected = golden.at(spec.name).get<std::vector<double>>();
    const at::Tensor ours = parameters.flat().detach().narrow(0, spec.offset, spec.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(ours.const_data_ptr<float>()[i]) - expected[i]) /
                                  std::max(1.0, std::abs(expected[i])));
  }
  return worst;
}

TEST(OptimizerTest, StepsAsTorchsAdamWAndTransformersAdafactor) {
  at::set_num_threads(1);
  const auto file = std::filesystem::path(PLUMBLINE_SOURCE_DIR) / "tests/parity/goldens/optimizers.json";
  const Json golden = read_json_file(file).value();
  std::vector<ParameterSpec> specs;
  for (const auto& [name, shape] : golden.at("shapes").items())
    specs.push_back({name, shape.get<std::vector<std::int64_t>>()});
  const auto rates = golden.at("rates").get<std::vector<double>>();
  ASSERT_GE(golden.at("cases").size(), 7u);
  for (const Json& made : golden.at("cases")) {
    SCOPED_TRACE(made.at("optimizer").dump());
    Parameters parameters(specs, at::kCPU);
    fill(parameters, golden.at("values"), parameters.flat());
    const auto optimizer = make_optimizer(config_of(made.at("optimizer")), parameters);
    for (std::size_t t = 0; t < rates.size(); ++t) {
      at::Tensor gradient = parameters.new_flat();
      fill(parameters, golden.at("gradients").at(t), gradient);
      optimizer->step(gradient, 1.0, static_cast<std::int64_t>(t) + 1, rates[t]);
      EXPECT_LT(worst_of(parameters, made.at("weights").at(t)), 1e-6) << "step " << t + 1;
    }
  }
}

TEST(OptimizerTest, NormsAndRelativeBiasesDoNotDecay) {
  EXPECT_TRUE(decays("shared.weight"));
  EXPECT_TRUE(decays("decoder.block.3.layer.1.EncDecAttention.q.weight"));
  EXPECT_FALSE(decays("decoder.block.3.layer.1.layer_norm.weight"));
  EXPECT_FALSE(decays("decoder.final_layer_norm.weight"));
  EXPECT_FALSE(decays("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"));
}

}  // namespace
}  // namespace plumbline
