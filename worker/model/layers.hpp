// The parts that T5's two stacks are made of: RMSNorm, relative position buckets, dropout, attention, feed-forward.
// Pure functions of tensors; gradients by autograd. Nothing here fails at run time: shapes are the caller's bug.
//
// Axes: B rows, S source tokens, T output tokens, H heads, K d_kv, D d_model, N = tokens x rows, F d_ff.
// Inside a stack activations are time-major, [T,B,D] seen as [N,D]: a head's queries are then a strided view
// [B*H,T,K] of the projection, and no copy is made before the batched products.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "common/config/run_config.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline::layers {

struct AttentionWeights {
  at::Tensor q, k, v, o;
};  ///< [H*K,D] x 3, [D,H*K]
struct FeedForwardWeights {
  Activation activation = Activation::kGeluNew;
  at::Tensor wi_0, wi_1, wo;
};  ///< wi_1 undefined: act(x wi_0) wo, else act(x wi_0) * (x wi_1) wo
struct Block {
  at::Tensor self_norm, cross_norm, ff_norm;  ///< [D]; cross_norm undefined in the encoder
  AttentionWeights self, cross;
  FeedForwardWeights ff;
};
struct Stack {
  std::vector<Block> blocks;
  at::Tensor relative_bias;  ///< [buckets,H]
  at::Tensor final_norm;     ///< [D]
};

/// Inverted dropout (Srivastava et al. 2014). The mask of the n-th call is a function of (seed, n) and the shape alone,
/// whatever the number of threads. Default-constructed or rate 0: the identity. On the CPU masks come from a
/// counter-based hash, 16 bits an element (so the rate is exact to 2^-17); elsewhere from the device's generator.
class Dropout {
 public:
  Dropout() = default;
  Dropout(double rate, std::uint64_t seed, at::Device device);
  [[nodiscard]] bool active() const { return rate_ > 0; }
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x);

 private:
  double rate_ = 0;
  std::uint64_t seed_ = 0, calls_ = 0;
  std::optional<at::Generator> generator_;  ///< devices other than the CPU
};

/// SplitMix64's finaliser (Steele, Lea & Flood 2014): streams of neighbouring keys have nothing in common.
std::uint64_t mix(std::uint64_t x);

/// x / sqrt(mean(x^2) + epsilon) * weight over the last axis (Zhang & Sennrich 2019; T5's layer norm). x_ND, weight_D.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

/// T5's buckets of the distances `relative` = key position - query position (int64, any shape); int64 in [0, buckets).
at::Tensor relative_buckets(const at::Tensor& relative, bool bidirectional, int buckets, int max_distance);

/// bias_HTT of a stack's self-attention: relative_bias[bucket(key - query)], time x time.
at::Tensor position_bias(const at::Tensor& relative_bias, std::int64_t length, bool bidirectional, int max_distance);

/// 0 where mask_BS is true, the lowest float elsewhere.
at::Tensor additive_mask(const at::Tensor& mask_BS);

/// q_N(HK) of Tq x B, k and v of Tk x B, bias broadcastable to [B*H,Tq,Tk] -> context_N(HK). No scaling (T5).
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias,
                     std::int64_t rows, std::int64_t heads, Dropout& dropout);

/// residual + dropout(x W^T); one fused product when dropout is off.
at::Tensor project_and_add(const at::Tensor& residual, const at::Tensor& x, const at::Tensor& weight, Dropout& dropout);

/// residual + feed-forward of the normed x.
at::Tensor feed_forward(const at::Tensor& residual, const at::Tensor& normed, const FeedForwardWeights& w,
                        Dropout& dropout);

}  // namespace plumbline::layers
