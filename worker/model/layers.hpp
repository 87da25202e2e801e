// What T5's blocks are made of beside their products: their weights, relative position buckets, masks.
// Nothing here fails at run time: shapes are the caller's bug.
//
// Axes: B rows, S source tokens, T output tokens, H heads, K d_kv, D d_model, N = tokens x rows, F d_ff.
// Inside a stack activations are time-major, [T,B,D] seen as [N,D]: a head's queries are then a strided view
// [B*H,T,K] of the projection, and no copy is made before the batched products.
#pragma once
#include <cstdint>
#include <vector>

#include "common/config/run_config.hpp"
#include "worker/model/dropout.hpp"
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

/// T5's buckets of the distances `relative` = key position - query position (int64, any shape); int64 in [0, buckets).
at::Tensor relative_buckets(const at::Tensor& relative, bool bidirectional, int buckets, int max_distance);

/// bias_HTT of a stack's self-attention: relative_bias[bucket(key - query)], time x time; recorded by autograd.
at::Tensor position_bias(const at::Tensor& relative_bias, std::int64_t length, bool bidirectional, int max_distance);

/// 0 where mask_BS is true, the lowest float elsewhere; undefined when it would be all zero (on the CPU, where it costs
/// nothing to see that).
at::Tensor additive_mask(const at::Tensor& mask_BS);

}  // namespace plumbline::layers
