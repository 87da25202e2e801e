#include "worker/model/flops.hpp"

#include <algorithm>
#include <initializer_list>

namespace plumbline {

namespace {

/// How many of the names are targets.
double count(const LoraConfig& lora, std::initializer_list<const char*> names) {
  return static_cast<double>(std::count_if(names.begin(), names.end(), [&](const char* name) {
    return std::find(lora.targets.begin(), lora.targets.end(), name) != lora.targets.end();
  }));
}

/// Weights that a token meets: in the encoder, in the decoder, and those of the decoder that a source's token meets.
struct Met {
  double encoder = 0, decoder = 0, source_in_decoder = 0;
};

Met weights_of(const ModelConfig& model, double d, double h) {
  const double feed_forward = (feed_forward_of(model.feed_forward_proj).gated ? 3.0 : 2.0) * d * model.d_ff;
  return {model.num_layers * (4 * d * h + feed_forward), model.num_decoder_layers * (8 * d * h + feed_forward),
          2 * model.num_decoder_layers * d * h};
}

Met adapters_of(const ModelConfig& model, const LoraConfig& lora, double d, double h) {
  const double beside_attention = lora.rank * (d + h);
  const double attention = count(lora, {"q", "k", "v", "o"}) * beside_attention;
  const double feed_forward = count(lora, {"wi", "wi_0", "wi_1", "wo"}) * lora.rank * (d + model.d_ff);
  return {model.num_layers * (attention + feed_forward), model.num_decoder_layers * (2 * attention + feed_forward),
          model.num_decoder_layers * count(lora, {"k", "v"}) * beside_attention};
}

}  // namespace

double training_flops(const ModelConfig& model, std::int64_t source_tokens, std::span<const std::int64_t> output_tokens,
                      const LoraConfig& lora) {
  const double d = model.d_model, h = static_cast<double>(model.num_heads) * model.d_kv;
  const double per_weight = lora.rank > 0 ? 4 : 6;
  const Met weights = weights_of(model, d, h), adapters = adapters_of(model, lora, d, h);
  const auto S = static_cast<double>(source_tokens);
  double flops = S * (per_weight * (weights.encoder + weights.source_in_decoder) +
                      6 * (adapters.encoder + adapters.source_in_decoder)) +
                 12 * h * model.num_layers * S * S;
  for (const std::int64_t tokens : output_tokens) {
    const auto T = static_cast<double>(tokens);
    flops += T * (per_weight * (weights.decoder - weights.source_in_decoder + d * model.vocab_size) +
                  6 * (adapters.decoder - adapters.source_in_decoder)) +
             12 * h * model.num_decoder_layers * (T * T + S * T);
  }
  return flops;
}

}  // namespace plumbline
