// The passes that a T5 block's products are joined by: on the CPU one loop each (cpu_kernels.hpp), elsewhere libtorch's
// operators. No gradient is recorded: what goes backward is called by worker/model/sublayers. Shapes are the caller's
// bug. Rows are split over threads so that the number of threads moves no bit.
//
// Axes: N tokens x rows, D d_model, F d_ff, B rows, H heads, T queries, S keys. The residual stream is fp32; what
// enters a product has the type that products are made in (fp32 or bf16).
#pragma once
#include <cstdint>
#include <optional>

#include "common/config/run_config.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline::passes {

/// Norm and inverse root mean square: y_ND = x / sqrt(mean(x^2) + epsilon) * weight_D (Zhang & Sennrich 2019; T5's
/// layer norm), inverse_N fp32.
struct Normed {
  at::Tensor y, inverse;
};
Normed rms_norm(const at::Tensor& x_ND, const at::Tensor& weight_D, double epsilon, at::ScalarType type);
/// The gradient of x, fp32, `residual` (fp32, may be undefined) added; the weight's is added to dweight_D (undefined:
/// not).
at::Tensor rms_norm_backward(const at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                             const at::Tensor& inverse_N, const at::Tensor& residual_ND, at::Tensor& dweight_D);

/// act(a) * b; b undefined: act(a). [N,F].
at::Tensor activate(const at::Tensor& a, const at::Tensor& b, Activation activation);
/// Gradients of a and b, written over them (b's undefined where b is).
struct ActivationGradients {
  at::Tensor a, b;
};
ActivationGradients activate_backward(const at::Tensor& dy, at::Tensor a, at::Tensor b, Activation activation);

/// What attention adds to its scores: bias_HTS and mask_BS (0 or the lowest float), fp32, either undefined.
struct ScoreTerms {
  at::Tensor bias_HTS, mask_BS;
};
/// In place: [B*H,T,S] scores -> weights, each row's softmax in fp32.
void softmax_(at::Tensor& scores, const ScoreTerms& terms, std::int64_t heads);
/// In place: gradient of the weights -> of the scores. Summed over B it is added to dbias_HTS when that is defined.
void softmax_backward_(at::Tensor& dweights, const at::Tensor& weights, std::int64_t heads, at::Tensor& dbias_HTS);

/// On the CPU: attention of one query a row with keys and values that stay where they were written (generation).
struct Written {
  at::Tensor keys_WHCK, values_WHCK;     ///< of W slots, room for C positions; of the queries' type, contiguous
  const std::int32_t* origin = nullptr;  ///< the slot that holds position l of row r: origin[l * stride + r]
  std::int64_t origin_stride = 0;        ///< 0: the same slot at every position
  std::int64_t length = 0;               ///< L, positions that are written
};
/// q_B(HK) -> [B,H*K]. bias_HL (undefined: none) by position; mask_WL by slot, where origin_stride is 0.
at::Tensor attend(const at::Tensor& q, const Written& written, const at::Tensor& bias_HL, const at::Tensor& mask_WL);

/// residual (fp32) + x of any type.
at::Tensor add(const at::Tensor& residual, const at::Tensor& x);

}  // namespace plumbline::passes
