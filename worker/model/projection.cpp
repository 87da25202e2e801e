#include "worker/model/projection.hpp"

#include "worker/model/passes.hpp"

namespace plumbline {

at::Tensor& gradient_of(const at::Tensor& leaf) {
  at::Tensor& gradient = leaf.mutable_grad();
  if (!gradient.defined()) gradient = at::zeros_like(leaf.detach());
  return gradient;
}

at::Tensor Projection::forward(const at::Tensor& x) const { return at::mm(x, compute_.t()); }

at::Tensor Projection::forward_onto(const at::Tensor& residual, const at::Tensor& x) const {
  if (x.scalar_type() == at::kFloat) return at::addmm(residual, x, compute_.t());
  return passes::add(residual, at::mm(x, compute_.t()));
}

at::Tensor Projection::backward(const at::Tensor& dy, const at::Tensor& x, at::Tensor onto) const {
  if (master_.requires_grad()) {
    at::Tensor& gradient = gradient_of(master_);
    if (dy.scalar_type() == at::kFloat)
      gradient.addmm_(dy.t(), x);  // Straight into the buffer: no product of its own to be written, read and added.
    else
      gradient.add_(at::mm(dy.t(), x));
  }
  if (!onto.defined()) return at::mm(dy, compute_);
  return onto.addmm_(dy, compute_);
}

}  // namespace plumbline
