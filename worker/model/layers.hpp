// What T5's blocks are made of beside their products: their weights, dropout, relative position buckets, masks.
// Nothing here fails at run time: shapes are the caller's bug.
//
// Axes: B rows, S source tokens, T output tokens, H heads, K d_kv, D d_model, N = tokens x rows, F d_ff.
// Inside a stack activations are time-major, [T,B,D] seen as [N,D]: a head's queries are then a strided view
// [B*H,T,K] of the projection, and no copy is made before the batched products.
#pragma once
#include <cstdint>
#include <vector>

#include "common/config/run_config.hpp"
#include "worker/model/projection.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline::layers {

struct AttentionWeights {
  Projection q, k, v, o;
};  ///< [H*K,D] x 3, [D,H*K]
struct FeedForwardWeights {
  Activation activation = Activation::kGeluNew;
  Projection wi_0, wi_1, wo;
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

/// One inverted dropout (Srivastava et al. 2014): its mask can be applied again, to the gradient or when activations
/// are computed anew. A function of (stream, shape) alone, whatever the number of threads. On the CPU masks come from a
/// counter-based hash, 16 bits an element (so the rate is exact to 2^-17); elsewhere from a generator of the device.
class DropoutMask {
 public:
  DropoutMask() = default;  ///< the identity
  DropoutMask(double rate, std::uint64_t stream) : rate_(rate), stream_(stream) {}
  [[nodiscard]] bool active() const { return rate_ > 0; }
  /// x, contiguous, times the mask, in place.
  void apply_(at::Tensor& x) const;

 private:
  double rate_ = 0;
  std::uint64_t stream_ = 0;
};

/// The masks of one pass: the n-th is a function of (seed, n). Default-constructed or rate 0: identities.
class Dropout {
 public:
  Dropout() = default;
  Dropout(double rate, std::uint64_t seed) : rate_(rate), seed_(seed) {}
  DropoutMask next();

 private:
  double rate_ = 0;
  std::uint64_t seed_ = 0, calls_ = 0;
};

/// SplitMix64's finaliser (Steele, Lea & Flood 2014): streams of neighbouring keys have nothing in common.
std::uint64_t mix(std::uint64_t x);

/// T5's buckets of the distances `relative` = key position - query position (int64, any shape); int64 in [0, buckets).
at::Tensor relative_buckets(const at::Tensor& relative, bool bidirectional, int buckets, int max_distance);

/// bias_HTT of a stack's self-attention: relative_bias[bucket(key - query)], time x time; recorded by autograd.
at::Tensor position_bias(const at::Tensor& relative_bias, std::int64_t length, bool bidirectional, int max_distance);

/// 0 where mask_BS is true, the lowest float elsewhere; undefined when it would be all zero (on the CPU, where it costs
/// nothing to see that).
at::Tensor additive_mask(const at::Tensor& mask_BS);

}  // namespace plumbline::layers
