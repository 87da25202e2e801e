// Projections: a weight matrix of the model as its products use it. The master weight is fp32 and owns the gradient;
// products may be made with a bf16 copy of it (Parameters keeps it fresh). Nothing here is recorded by autograd:
// worker/model/sublayers calls forward and backward in turn. One thread at a time.
//
// Axes: N tokens x rows, I inputs, O outputs.
#pragma once
#include "worker/torch_pch.hpp"

namespace plumbline {

/// Where a leaf's gradient is added: its .grad, made (zero) if there is none.
at::Tensor& gradient_of(const at::Tensor& leaf);

class Projection {
 public:
  Projection() = default;
  /// `master_OI`: leaf, fp32. `compute_OI`: what products use, the same tensor or its bf16 copy.
  Projection(at::Tensor master_OI, at::Tensor compute_OI)
      : master_(std::move(master_OI)), compute_(std::move(compute_OI)) {}
  [[nodiscard]] bool defined() const { return master_.defined(); }
  [[nodiscard]] const at::Tensor& master() const { return master_; }
  [[nodiscard]] const at::Tensor& compute() const { return compute_; }

  /// x_NI of the products' type -> y_NO = x W^T.
  [[nodiscard]] at::Tensor forward(const at::Tensor& x_NI) const;
  /// residual_NO (fp32) + x W^T, in one product where both are fp32.
  [[nodiscard]] at::Tensor forward_onto(const at::Tensor& residual_NO, const at::Tensor& x_NI) const;
  /// From dy_NO: the weight's gradient is added to its .grad; the result is dx_NI = dy W, added to `onto` if that is
  /// defined (and then overwritten).
  at::Tensor backward(const at::Tensor& dy_NO, const at::Tensor& x_NI, at::Tensor onto = {}) const;

 private:
  at::Tensor master_, compute_;
};

}  // namespace plumbline
