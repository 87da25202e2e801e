// Projections: a weight matrix of the model as its products use it. The master weight is fp32 and owns the gradient;
// products may be made with a bf16 copy of it (Parameters keeps it fresh). Nothing here is recorded by autograd:
// worker/model/sublayers calls forward and backward in turn. One thread at a time.
//
// Axes: N tokens x rows, I inputs, O outputs.
#pragma once
#include <optional>

#include "worker/model/dropout.hpp"
#include "worker/model/packed_weight.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline {

/// Where a leaf's gradient is added: its .grad, made (zero) if there is none.
at::Tensor& gradient_of(const at::Tensor& leaf);

/// A LoRA adapter beside a projection: adds scale (mask(x) A^T) B^T. Masters are leaves, fp32; compute: what products
/// use.
struct LowRank {
  at::Tensor master_a_RI, master_b_OR, a_RI, b_OR;
  double scale = 1;
  layers::DropoutMask mask;  ///< of its input, in one pass

  [[nodiscard]] at::Tensor masked(const at::Tensor& x_NI) const;
  /// w_OI + scale B A, of the masters.
  [[nodiscard]] at::Tensor merged_with(const at::Tensor& w_OI) const;
  /// Adds to y_NO.
  void forward(at::Tensor& y_NO, const at::Tensor& x_NI) const;
  /// A's and B's gradients are added to their .grad, x's to dx_NI.
  void backward(const at::Tensor& dy_NO, const at::Tensor& x_NI, at::Tensor& dx_NI) const;
};

class Projection {
 public:
  Projection() = default;
  /// `master_OI`: leaf, fp32. `compute_OI`: what products use, the same tensor or its bf16 copy.
  Projection(at::Tensor master_OI, at::Tensor compute_OI)
      : master_(std::move(master_OI)), compute_(std::move(compute_OI)) {}
  /// With an adapter. The weight itself may be frozen (its master requires no gradient): then none is computed.
  Projection(at::Tensor master_OI, at::Tensor compute_OI, LowRank adapter)
      : master_(std::move(master_OI)), compute_(std::move(compute_OI)), adapter_(std::move(adapter)) {}
  /// The same projection in a pass whose adapters drop inputs: its mask is the next of `dropout`.
  [[nodiscard]] Projection dropping(layers::Dropout& dropout) const;
  [[nodiscard]] bool defined() const { return master_.defined(); }
  [[nodiscard]] const at::Tensor& master() const { return master_; }
  [[nodiscard]] const at::Tensor& compute() const { return compute_; }
  /// The same projection for generation: forward only, with the weight as it is now, packed where that is possible and
  /// the adapter then merged.
  [[nodiscard]] Projection packed() const;

  /// x_NI of the products' type -> y_NO = x W^T.
  [[nodiscard]] at::Tensor forward(const at::Tensor& x_NI) const;
  /// residual_NO (fp32) + x W^T, in one product where both are fp32.
  [[nodiscard]] at::Tensor forward_onto(const at::Tensor& residual_NO, const at::Tensor& x_NI) const;
  /// From dy_NO: the weight's gradient is added to its .grad; the result is dx_NI = dy W, added to `onto` if that is
  /// defined (and then overwritten).
  at::Tensor backward(const at::Tensor& dy_NO, const at::Tensor& x_NI, at::Tensor onto = {}) const;

 private:
  at::Tensor master_, compute_;
  std::optional<LowRank> adapter_;
  PackedWeight packed_;
};

}  // namespace plumbline
