#include "worker/model/flops.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace plumbline {
namespace {

ModelConfig uneven() {
  ModelConfig model;
  model.vocab_size = 97, model.d_model = 24, model.d_kv = 5, model.d_ff = 34, model.num_heads = 3;
  model.num_layers = 2, model.num_decoder_layers = 4;
  return model;
}

/// Operations of [m,k] x [k,n].
double product(double m, double k, double n) { return 2 * m * k * n; }

/// Every matrix product of a forward pass, one after another: another way to the same number.
double forward_flops(const ModelConfig& c, double S, const std::vector<std::int64_t>& outputs, double matrices) {
  const double d = c.d_model, h = c.num_heads * c.d_kv;
  const auto feed_forward = [&](double tokens) {
    return (matrices - 1) * product(tokens, d, c.d_ff) + product(tokens, c.d_ff, d);
  };
  const auto attention = [&](double queries, double keys) {  // Scores, then contexts, of all heads.
    return c.num_heads * (product(queries, c.d_kv, keys) + product(queries, keys, c.d_kv));
  };
  double flops = 0;
  for (int layer = 0; layer < c.num_layers; ++layer)
    flops += 3 * product(S, d, h) + attention(S, S) + product(S, h, d) + feed_forward(S);
  for (int layer = 0; layer < c.num_decoder_layers; ++layer) {
    flops += 2 * product(S, d, h);  // The memory's keys and values, once a source.
    for (const auto length : outputs) {
      const auto T = static_cast<double>(length);
      flops += 3 * product(T, d, h) + attention(T, T) + product(T, h, d);
      flops += product(T, d, h) + attention(T, S) + product(T, h, d);
      flops += feed_forward(T);
    }
  }
  for (const auto length : outputs) flops += product(static_cast<double>(length), d, c.vocab_size);
  return flops;
}

TEST(Flops, AreThriceThoseOfTheForwardPass) {
  const ModelConfig model = uneven();
  for (const std::vector<std::int64_t>& outputs : {std::vector<std::int64_t>{11}, {11, 29}, {1}, {3, 3}}) {
    const double expected = 3 * forward_flops(model, 17, outputs, 3);
    EXPECT_NEAR(training_flops(model, 17, outputs), expected, 1e-9 * expected);
  }
}

/// Of S tokens in the encoder of one layer, and of T in a decoder of one: every product by hand.
TEST(Flops, FrozenWeightsHaveNoGradientAndAdaptersDo) {
  ModelConfig model = uneven();
  model.num_layers = model.num_decoder_layers = 1;
  const double d = 24, h = 15, ff = 34, S = 17, T = 11, r = 2;
  LoraConfig lora;
  lora.rank = 2, lora.targets = {"q", "v", "wo"};
  const std::vector<std::int64_t> outputs{11};
  const double attention = 3 * (4 * h * S * S + 4 * h * (T * T + S * T));
  const double forward = forward_flops(model, S, outputs, 3) - attention / 3;  // of weights alone
  const auto adapter = [&](double tokens, double in, double out) {
    return 3 * (product(tokens, in, r) + product(tokens, r, out));
  };
  const double adapters = 2 * adapter(S, d, h) + adapter(S, ff, d)                        // encoder
                          + 3 * adapter(T, d, h) + adapter(S, d, h) + adapter(T, ff, d);  // decoder; its cross v of S
  const double expected = 2 * forward + attention + adapters;
  EXPECT_NEAR(training_flops(model, 17, outputs, lora), expected, 1e-9 * expected);
}

TEST(Flops, APlainFeedForwardLayerHasOneProductLess) {
  ModelConfig model = uneven();
  model.feed_forward_proj = "relu";
  const std::vector<std::int64_t> outputs{8};
  const double expected = 3 * forward_flops(model, 5, outputs, 2);
  EXPECT_NEAR(training_flops(model, 5, outputs), expected, 1e-9 * expected);
}

TEST(Flops, APreferenceEncodesItsSourceOnce) {
  const ModelConfig model = uneven();
  const std::vector<std::int64_t> desired{11}, undesired{29}, both{11, 29}, none;
  const double source = training_flops(model, 17, none);
  EXPECT_GT(source, 0);
  EXPECT_DOUBLE_EQ(training_flops(model, 17, both),
                   training_flops(model, 17, desired) + training_flops(model, 17, undesired) - source);
}

}  // namespace
}  // namespace plumbline
