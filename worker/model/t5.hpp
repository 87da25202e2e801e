// T5 encoder-decoder (Raffel et al. 2020), computed as HF Transformers does, so that a checkpoint loads there as it
// stands: v1.0 (ReLU, tied head), v1.1 and what was made of it (FLAN-T5, mT5, ByT5: gated GELU, untied head). RMSNorm
// without bias, attention without scaling, one relative position bias for each stack in its first self-attention.
//
// Weights and residual stream are fp32. With Precision::kBf16 products are made in bf16 (as HF under autocast): weights
// are rounded copies, norms, softmax, dropout's scaling, log-probs and sums stay fp32, gradients are added in fp32.
//
// Axes: B rows, S source tokens, T output tokens, H heads, K d_kv, D d_model, V vocabulary.
//
// The same inputs give the same bits for one numeric fingerprint. A T5 is used from one thread at a time.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "worker/model/adapter.hpp"
#include "worker/model/layers.hpp"
#include "worker/model/parameters.hpp"
#include "worker/model/sublayers.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline {

/// Seeds dropout; one for each (seed, step, lane, micro-batch, pass). Absent: no dropout.
struct DropoutKey {
  std::uint64_t seed = 0;
};

/// Keys and values of the decoder during generation, one entry a layer; grown step by step.
struct DecoderCache;

/// What products are made in.
enum class Precision { kFp32, kBf16 };
Precision precision_of(const TrainConfig& train);
/// What is kept for the backward pass: all that it needs, or each sublayer's input, from which the rest is computed
/// anew.
enum class Activations { kKeep, kRecompute };
Activations activations_of(const TrainConfig& train);

/// A model's weights as generation multiplies with them: packed once (cpu_products.hpp), with adapters merged, where
/// the processor has such products; else as they are.
struct PackedModel {
  layers::Stack encoder, decoder;
  Projection head;
};

class T5 {
 public:
  T5(const ModelConfig& config, at::Device device, Precision precision = Precision::kFp32);
  /// HF's initialisation with factor 1, from `seed`; the same bits on every machine of one fingerprint. One exception:
  /// an untied head has deviation d_model^-0.5, as the authors' T5X has it; HF's 1.0 starts training at a loss many
  /// times log(V).
  void initialize(std::uint64_t seed);
  [[nodiscard]] const ModelConfig& config() const { return config_; }
  [[nodiscard]] Parameters& parameters() { return parameters_; }
  [[nodiscard]] const Parameters& parameters() const { return parameters_; }
  /// Puts a LoRA adapter (zero as it comes) beside the weights, which from now on stay as they are. Once; the targets
  /// are the model's (check_targets).
  void add_adapter(const LoraConfig& config);
  [[nodiscard]] Adapter* adapter() { return adapter_.get(); }  ///< null when there is none
  [[nodiscard]] const Adapter* adapter() const { return adapter_.get(); }
  /// What training moves: the adapter's parameters when there is one, else all.
  [[nodiscard]] Parameters& trained() { return adapter_ ? adapter_->parameters() : parameters_; }
  [[nodiscard]] Precision precision() const;
  void set_activations(Activations activations) { activations_ = activations; }

  /// source_BS int64 (pad 0), source_mask_BS bool (true: real) -> memory_BSD in the products' type (a view of
  /// time-major memory).
  [[nodiscard]] at::Tensor encode(const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                                  std::optional<DropoutKey> dropout = {}) const;
  /// Decoder states for teacher forcing: input_BT is the output shifted right (starts with pad). -> states_BTD, before
  /// the head (a view of time-major memory).
  [[nodiscard]] at::Tensor decode(const at::Tensor& input_BT, const at::Tensor& memory_BSD,
                                  const at::Tensor& source_mask_BS, std::optional<DropoutKey> dropout = {}) const;
  /// As decode, for R outputs of B sources: output r attends to row memory_row_R[r] (int64) of the memory, whose keys
  /// and values are computed once a source.
  [[nodiscard]] at::Tensor decode_rows(const at::Tensor& input_RT, const at::Tensor& memory_BSD,
                                       const at::Tensor& source_mask_BS, const at::Tensor& memory_row_R,
                                       std::optional<DropoutKey> dropout = {}) const;
  /// The head: states_…D -> logits_…V of the products' type (scaled by d_model^-0.5 when the embeddings are tied).
  [[nodiscard]] at::Tensor logits(const at::Tensor& states) const;
  /// log p(target) of each position, fp32, without the logits of all positions in memory: states_PD, target_P int64 ->
  /// [P].
  [[nodiscard]] at::Tensor log_probs_in_chunks(const at::Tensor& states_PD, const at::Tensor& target_P,
                                               std::int64_t chunk) const;

  /// What generation multiplies with. Making them costs about one step's time, so hold on to them over several batches:
  /// while somebody does, and the weights stay as they are, read and start_cache find them. Call before threads share
  /// the model.
  [[nodiscard]] std::shared_ptr<const PackedModel> packed() const;
  /// As encode, with those, for start_cache: equal to rounding. No gradient, no dropout.
  [[nodiscard]] at::Tensor read(const at::Tensor& source_BS, const at::Tensor& source_mask_BS) const;
  /// One token for each row with cached keys and values: token_B int64 -> logits_BV. See worker/generate. No gradient.
  [[nodiscard]] std::unique_ptr<DecoderCache, void (*)(DecoderCache*)> start_cache(
      const at::Tensor& memory_BSD, const at::Tensor& source_mask_BS) const;
  [[nodiscard]] at::Tensor step(DecoderCache& cache, const at::Tensor& token_B) const;
  /// Keep these rows (int64 indices, in this order; a row may stand more than once) in the cache.
  void keep_rows(DecoderCache& cache, const at::Tensor& rows) const;

 private:
  [[nodiscard]] double head_scale() const;
  [[nodiscard]] at::Tensor encode_with(const layers::Stack& encoder, const at::Tensor& source_BS,
                                       const at::Tensor& source_mask_BS, std::optional<DropoutKey> dropout) const;
  [[nodiscard]] layers::Pass pass_over(std::int64_t rows, std::optional<DropoutKey> key, std::uint64_t pass) const;

  void build();  ///< the stacks and the head, of what the parameters and the adapter are now
  void refresh() const;

  ModelConfig config_;
  Parameters parameters_;
  std::unique_ptr<Adapter> adapter_;
  layers::Stack encoder_, decoder_;
  Projection shared_, head_;  ///< [V,D]; the same when tied
  Activations activations_ = Activations::kKeep;
  mutable std::weak_ptr<const PackedModel> packed_;
  mutable std::uint64_t packed_version_ = 0;
};

/// A deterministic model folder as HF Transformers reads it: config.json, model.safetensors, with an adapter merged.
/// Read are also weights in shards (common/config/weight_files.hpp). Errors name the file and tensor.
Status save_model(const T5& model, const std::filesystem::path& folder);
Result<std::unique_ptr<T5>> load_model(const std::filesystem::path& folder, at::Device device,
                                       Precision precision = Precision::kFp32);
/// Read weights from `file` into `model`; every tensor must be there with the right shape; F16 and BF16 are widened.
/// What HF reads past (encoder.embed_tokens.weight, …) may be there too; any other name is an error.
Status load_weights(T5& model, const std::filesystem::path& file);

}  // namespace plumbline
