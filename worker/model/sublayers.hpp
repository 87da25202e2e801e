// T5's sublayers, each one node of the autograd graph with its backward pass written out: attention and feed-forward
// with the norm before and the residual after, embedding, final norm, head. Weights' gradients are added straight to
// their .grad (the flat buffer of worker/model/parameters.hpp), never made as tensors of their own; autograd carries
// what flows between the nodes. With Pass::recompute a node keeps only its inputs and computes the rest anew when the
// gradient comes (gradient checkpointing, Chen et al. 2016): same bits, less memory, about a third more compute.
//
// Second derivatives are not recorded. Axes as in layers.hpp; x is the residual stream, fp32 time-major [N,D].
#pragma once
#include "worker/model/layers.hpp"
#include "worker/model/passes.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline::layers {

/// What the sublayers of one pass through a stack share.
struct Pass {
  std::int64_t rows = 0, heads = 0;
  double epsilon = 1e-6;
  at::ScalarType type = at::kFloat;  ///< of what enters products: fp32 or bf16
  bool recompute = false;
  Dropout dropout, adapter_dropout;  ///< of the model's sublayers; of the inputs of LoRA adapters
};

/// The memory that a decoder attends to: states_MD of the products' type, time-major over S tokens of B sources,
/// recorded. gather: for each key position and output row the row of it, [S*R] int64; undefined when output r attends
/// to source r.
struct Memory {
  at::Tensor states_MD, gather, mask_RS;
};

/// Rows of the embedding [V,D], with dropout: tokens_N int64 -> x_ND. While gradients are recorded x always has one.
at::Tensor embed(const at::Tensor& tokens_N, const Projection& embedding, Pass& pass);
/// x + dropout(attention(norm(x))); bias_HTT is recorded, mask_BT (additive) may be undefined.
at::Tensor self_attention(const at::Tensor& x_ND, const Block& block, const at::Tensor& bias_HTT,
                          const at::Tensor& mask_BT, Pass& pass);
at::Tensor cross_attention(const at::Tensor& x_ND, const Block& block, const Memory& memory, Pass& pass);
at::Tensor feed_forward(const at::Tensor& x_ND, const Block& block, Pass& pass);
/// dropout(norm(x)) in the products' type.
at::Tensor final_norm(const at::Tensor& x_ND, const at::Tensor& weight_D, Pass& pass);
/// y_NO = scale * x W^T, recorded.
at::Tensor project(const at::Tensor& x_NI, const Projection& projection, double scale);

/// log_softmax(scale * x W^T)[target] of each row, fp32, recorded: states x_PI, target_P int64 -> [P]. Logits are made
/// `chunk` rows at a time and again on the way back, so that no [P,V] is ever in memory: for large vocabularies.
at::Tensor project_log_probs(const at::Tensor& x_PI, const Projection& projection, double scale,
                             const at::Tensor& target_P, std::int64_t chunk);

}  // namespace plumbline::layers
