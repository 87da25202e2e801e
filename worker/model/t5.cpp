#include "worker/model/t5.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <string>

#include "common/core/check.hpp"
#include "worker/activity.hpp"

namespace plumbline {

namespace {

std::string block_name(const char* stack, int i) {
  return std::string(stack) + ".block." + std::to_string(i) + ".layer.";
}

void add_attention(std::vector<ParameterSpec>& specs, const std::string& prefix, const ModelConfig& c) {
  const std::int64_t inner = static_cast<std::int64_t>(c.num_heads) * c.d_kv;
  for (const char* part : {"q", "k", "v"}) specs.push_back({prefix + part + ".weight", {inner, c.d_model}});
  specs.push_back({prefix + "o.weight", {c.d_model, inner}});
}

void add_stack(std::vector<ParameterSpec>& specs, const ModelConfig& c, const char* stack, int num_layers,
               bool decoder) {
  const bool gated = feed_forward_of(c.feed_forward_proj).gated;
  for (int i = 0; i < num_layers; ++i) {
    const std::string block = block_name(stack, i);
    add_attention(specs, block + "0.SelfAttention.", c);
    if (i == 0)
      specs.push_back(
          {block + "0.SelfAttention.relative_attention_bias.weight", {c.relative_attention_num_buckets, c.num_heads}});
    specs.push_back({block + "0.layer_norm.weight", {c.d_model}});
    if (decoder) {
      add_attention(specs, block + "1.EncDecAttention.", c);
      specs.push_back({block + "1.layer_norm.weight", {c.d_model}});
    }
    const std::string ff = block + (decoder ? "2." : "1.");
    for (const char* part : gated ? std::vector<const char*>{"wi_0", "wi_1"} : std::vector<const char*>{"wi"})
      specs.push_back({ff + "DenseReluDense." + part + ".weight", {c.d_ff, c.d_model}});
    specs.push_back({ff + "DenseReluDense.wo.weight", {c.d_model, c.d_ff}});
    specs.push_back({ff + "layer_norm.weight", {c.d_model}});
  }
  specs.push_back({std::string(stack) + ".final_layer_norm.weight", {c.d_model}});
}

std::vector<ParameterSpec> specs_of(const ModelConfig& c) {
  std::vector<ParameterSpec> specs{{"shared.weight", {c.vocab_size, c.d_model}}};
  add_stack(specs, c, "encoder", c.num_layers, false);
  add_stack(specs, c, "decoder", c.num_decoder_layers, true);
  if (!c.tie_word_embeddings) specs.push_back({"lm_head.weight", {c.vocab_size, c.d_model}});
  return specs;
}

/// The model's weights by name, and what stands beside them.
struct Weights {
  const Parameters& parameters;
  const Adapter* adapter;  ///< null when there is none

  [[nodiscard]] const at::Tensor& get(const std::string& name) const { return parameters.get(name); }
  [[nodiscard]] Projection projection(const std::string& name) const {
    if (adapter == nullptr || !adapter->is_beside(name)) return {parameters.get(name), parameters.compute(name)};
    return {parameters.get(name), parameters.compute(name), adapter->beside(name)};
  }
};

layers::AttentionWeights attention_of(const Weights& p, const std::string& prefix) {
  return {p.projection(prefix + "q.weight"), p.projection(prefix + "k.weight"), p.projection(prefix + "v.weight"),
          p.projection(prefix + "o.weight")};
}

layers::Stack stack_of(const Weights& p, const ModelConfig& c, const char* stack, int num_layers, bool decoder) {
  layers::Stack result;
  for (int i = 0; i < num_layers; ++i) {
    const std::string block = block_name(stack, i), ff = block + (decoder ? "2." : "1."),
                      dense = ff + "DenseReluDense.";
    layers::Block b;
    b.self = attention_of(p, block + "0.SelfAttention.");
    b.self_norm = p.get(block + "0.layer_norm.weight");
    if (decoder) {
      b.cross = attention_of(p, block + "1.EncDecAttention.");
      b.cross_norm = p.get(block + "1.layer_norm.weight");
    }
    const FeedForward kind = feed_forward_of(c.feed_forward_proj);
    b.ff.activation = kind.activation;
    b.ff.wi_0 = p.projection(dense + (kind.gated ? "wi_0.weight" : "wi.weight"));
    if (kind.gated) b.ff.wi_1 = p.projection(dense + "wi_1.weight");
    b.ff.wo = p.projection(dense + "wo.weight");
    b.ff_norm = p.get(ff + "layer_norm.weight");
    result.blocks.push_back(std::move(b));
  }
  result.relative_bias = p.get(block_name(stack, 0) + "0.SelfAttention.relative_attention_bias.weight");
  result.final_norm = p.get(std::string(stack) + ".final_layer_norm.weight");
  return result;
}

/// The deviation that HF's _init_weights gives a tensor; 0 for a layer norm, which is all ones.
double deviation(const std::string& name, const ModelConfig& c) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (has("layer_norm")) return 0;
  if (name == "shared.weight") return 1.0;
  if (has(".q.weight")) return 1.0 / std::sqrt(static_cast<double>(c.d_model) * c.d_kv);
  if (has(".o.weight")) return 1.0 / std::sqrt(static_cast<double>(c.num_heads) * c.d_kv);
  if (has(".wo.weight")) return 1.0 / std::sqrt(static_cast<double>(c.d_ff));
  return 1.0 / std::sqrt(static_cast<double>(c.d_model));
}

at::Tensor time_major(const at::Tensor& x_BTD) {  // [B,T,D] -> [T*B,D]; no copy when x is a view of time-major memory
  return x_BTD.transpose(0, 1).reshape({-1, x_BTD.size(2)});
}

}  // namespace

Precision precision_of(const TrainConfig& train) {
  return train.precision == "bf16" ? Precision::kBf16 : Precision::kFp32;
}

Activations activations_of(const TrainConfig& train) {
  return train.activations == "recompute" ? Activations::kRecompute : Activations::kKeep;
}

T5::T5(const ModelConfig& config, at::Device device, Precision precision)
    : config_(config),
      parameters_(specs_of(config), device, precision == Precision::kBf16 ? at::kBFloat16 : at::kFloat) {
  build();
}

void T5::build() {
  const Weights weights{parameters_, adapter_.get()};
  encoder_ = stack_of(weights, config_, "encoder", config_.num_layers, false);
  decoder_ = stack_of(weights, config_, "decoder", config_.num_decoder_layers, true);
  shared_ = weights.projection("shared.weight");
  head_ = config_.tie_word_embeddings ? shared_ : weights.projection("lm_head.weight");
}

void T5::add_adapter(const LoraConfig& config) {
  PLUMBLINE_CHECK(adapter_ == nullptr, "the model has an adapter already");
  parameters_.freeze();
  adapter_ = std::make_unique<Adapter>(config, parameters_);
  build();
}

void T5::refresh() const {
  parameters_.refresh();
  if (adapter_) adapter_->parameters().refresh();
}

Precision T5::precision() const {
  return parameters_.compute_type() == at::kBFloat16 ? Precision::kBf16 : Precision::kFp32;
}

void T5::initialize(std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  at::Generator generator = at::detail::createCPUGenerator(layers::mix(seed));
  for (const auto& spec : parameters_.specs()) {
    at::Tensor value = at::empty(spec.shape, at::kFloat);
    const double std = deviation(spec.name, config_);
    if (std == 0)
      value.fill_(1.0);
    else
      value.normal_(0.0, std, generator);
    parameters_.flat().narrow(0, spec.offset, spec.size()).copy_(value.reshape({-1}));
  }
}

layers::Pass T5::pass_over(std::int64_t rows, std::optional<DropoutKey> key, std::uint64_t pass) const {
  return {.rows = rows,
          .heads = config_.num_heads,
          .epsilon = config_.layer_norm_epsilon,
          .type = parameters_.compute_type(),
          .recompute = activations_ == Activations::kRecompute,
          .dropout = key ? layers::Dropout(config_.dropout_rate, layers::mix(layers::mix(key->seed) + pass))
                         : layers::Dropout(),
          .adapter_dropout = key && adapter_ ? layers::Dropout(adapter_->config().dropout,
                                                               layers::mix(layers::mix(layers::mix(key->seed) + pass)))
                                             : layers::Dropout()};
}

at::Tensor T5::encode(const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                      std::optional<DropoutKey> dropout) const {
  refresh();
  return encode_with(encoder_, source_BS, source_mask_BS, dropout);
}

at::Tensor T5::read(const at::Tensor& source_BS, const at::Tensor& source_mask_BS) const {
  const at::NoGradGuard no_grad;
  return encode_with(packed()->encoder, source_BS, source_mask_BS, {});
}

at::Tensor T5::encode_with(const layers::Stack& encoder, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                           std::optional<DropoutKey> dropout) const {
  const std::int64_t B = source_BS.size(0), S = source_BS.size(1);
  activity().reads_sources(B, S);
  layers::Pass pass = pass_over(B, dropout, 1);
  at::Tensor x = layers::embed(source_BS.t().reshape({-1}), shared_, pass);
  const at::Tensor bias =
      layers::position_bias(encoder.relative_bias, S, true, config_.relative_attention_max_distance);
  const at::Tensor mask = layers::additive_mask(source_mask_BS);
  for (const auto& block : encoder.blocks) {
    activity().advance();
    x = layers::self_attention(x, block, bias, mask, pass);
    x = layers::feed_forward(x, block, pass);
  }
  return layers::final_norm(x, encoder.final_norm, pass).view({S, B, config_.d_model}).transpose(0, 1);
}

at::Tensor T5::decode(const at::Tensor& input_BT, const at::Tensor& memory_BSD, const at::Tensor& source_mask_BS,
                      std::optional<DropoutKey> dropout) const {
  return decode_rows(input_BT, memory_BSD, source_mask_BS, at::Tensor(), dropout);
}

at::Tensor T5::decode_rows(const at::Tensor& input_RT, const at::Tensor& memory_BSD, const at::Tensor& source_mask_BS,
                           const at::Tensor& memory_row_R, std::optional<DropoutKey> dropout) const {
  refresh();
  const std::int64_t R = input_RT.size(0), T = input_RT.size(1), S = memory_BSD.size(1), B = memory_BSD.size(0);
  activity().writes_outputs(R, T);
  layers::Pass pass = pass_over(R, dropout, 2);
  at::Tensor x = layers::embed(input_RT.t().reshape({-1}), shared_, pass);
  layers::Memory memory{time_major(memory_BSD), {}, {}};
  if (memory_row_R.defined()) {  // Output r's keys are rows s*B + memory_row[r] of the memory.
    const at::Tensor start = at::arange(S, memory_row_R.options()) * B;
    memory.gather = (start.unsqueeze(1) + memory_row_R.unsqueeze(0)).reshape({-1});
    memory.mask_RS = layers::additive_mask(source_mask_BS.index_select(0, memory_row_R));
  } else {
    memory.mask_RS = layers::additive_mask(source_mask_BS);
  }
  at::Tensor bias = layers::position_bias(decoder_.relative_bias, T, false, config_.relative_attention_max_distance);
  if (T > 1) bias = bias + layers::additive_mask(at::ones({T, T}, source_mask_BS.options()).tril());
  for (const auto& block : decoder_.blocks) {
    activity().advance();
    x = layers::self_attention(x, block, bias, at::Tensor(), pass);
    x = layers::cross_attention(x, block, memory, pass);
    x = layers::feed_forward(x, block, pass);
  }
  return layers::final_norm(x, decoder_.final_norm, pass).view({T, R, config_.d_model}).transpose(0, 1);
}

double T5::head_scale() const {
  return config_.tie_word_embeddings ? 1.0 / std::sqrt(static_cast<double>(config_.d_model)) : 1.0;
}

at::Tensor T5::logits(const at::Tensor& states) const {
  std::vector<std::int64_t> shape = states.sizes().vec();
  shape.back() = config_.vocab_size;
  return layers::project(states.reshape({-1, config_.d_model}), head_, head_scale()).view(shape);
}

at::Tensor T5::log_probs_in_chunks(const at::Tensor& states_PD, const at::Tensor& target_P, std::int64_t chunk) const {
  return layers::project_log_probs(states_PD, head_, head_scale(), target_P, chunk);
}

}  // namespace plumbline
