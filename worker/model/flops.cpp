#include "worker/model/flops.hpp"

namespace plumbline {

double training_flops(const ModelConfig& model, std::int64_t source_tokens,
                      std::span<const std::int64_t> output_tokens) {
  const double d = model.d_model, h = static_cast<double>(model.num_heads) * model.d_kv;
  const double feed_forward = (feed_forward_of(model.feed_forward_proj).gated ? 3.0 : 2.0) * d * model.d_ff;
  const double Le = model.num_layers, Ld = model.num_decoder_layers;
  const double E = Le * (4 * d * h + feed_forward), D = Ld * (8 * d * h + feed_forward), X = 2 * Ld * d * h;
  const auto S = static_cast<double>(source_tokens);
  double flops = 6 * S * (E + X) + 12 * h * Le * S * S;
  for (const std::int64_t tokens : output_tokens) {
    const auto T = static_cast<double>(tokens);
    flops += 6 * T * (D - X + d * model.vocab_size) + 12 * h * Ld * (T * T + S * T);
  }
  return flops;
}

}  // namespace plumbline
