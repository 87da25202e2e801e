#include "worker/model/projection.hpp"

#include "common/core/check.hpp"
#include "worker/model/passes.hpp"

namespace plumbline {

at::Tensor& gradient_of(const at::Tensor& leaf) {
  at::Tensor& gradient = leaf.mutable_grad();
  if (!gradient.defined()) gradient = at::zeros_like(leaf.detach());
  return gradient;
}

namespace {

/// gradient (fp32) + scale dy^T x.
void add_gradient(const at::Tensor& leaf, const at::Tensor& dy, const at::Tensor& x, double scale = 1) {
  at::Tensor& gradient = gradient_of(leaf);
  if (dy.scalar_type() == at::kFloat)
    gradient.addmm_(dy.t(), x, 1,
                    scale);  // Straight into the buffer: no product of its own to be written, read and added.
  else
    gradient.add_(at::mm(dy.t(), x), scale);
}

}  // namespace

at::Tensor LowRank::masked(const at::Tensor& x) const {
  if (!mask.active()) return x;
  at::Tensor dropped = x.clone();
  mask.apply_(dropped);
  return dropped;
}

at::Tensor LowRank::merged_with(const at::Tensor& w) const { return at::addmm(w, master_b_OR, master_a_RI, 1, scale); }

void LowRank::forward(at::Tensor& y, const at::Tensor& x) const {
  y.addmm_(at::mm(masked(x), a_RI.t()), b_OR.t(), 1, scale);
}

void LowRank::backward(const at::Tensor& dy, const at::Tensor& x, at::Tensor& dx) const {
  const at::Tensor input = masked(x);
  const at::Tensor dinner = at::mm(dy, b_OR).mul_(scale);
  add_gradient(master_b_OR, dy, at::mm(input, a_RI.t()), scale);
  add_gradient(master_a_RI, dinner, input);
  if (!mask.active()) {
    dx.addmm_(dinner, a_RI);
    return;
  }
  at::Tensor dinput = at::mm(dinner, a_RI);
  mask.apply_(dinput);
  dx.add_(dinput);
}

Projection Projection::dropping(layers::Dropout& dropout) const {
  Projection result = *this;
  if (adapter_) result.adapter_->mask = dropout.next();
  return result;
}

Projection Projection::packed() const {
  Projection result = *this;
  if (defined() && compute_.scalar_type() == at::kFloat)
    result.packed_ = PackedWeight(adapter_ ? adapter_->merged_with(compute_) : compute_);
  return result;
}

at::Tensor Projection::forward(const at::Tensor& x) const {
  if (packed_.defined()) return packed_.multiply(x, {});
  at::Tensor y = at::mm(x, compute_.t());
  if (adapter_) adapter_->forward(y, x);
  return y;
}

at::Tensor Projection::forward_onto(const at::Tensor& residual, const at::Tensor& x) const {
  if (packed_.defined()) return packed_.multiply(x, residual);
  if (x.scalar_type() != at::kFloat) return passes::add(residual, forward(x));
  at::Tensor y = at::addmm(residual, x, compute_.t());
  if (adapter_) adapter_->forward(y, x);
  return y;
}

at::Tensor Projection::backward(const at::Tensor& dy, const at::Tensor& x, at::Tensor onto) const {
  PLUMBLINE_CHECK(!packed_.defined(), "a packed projection has no way back");
  if (master_.requires_grad()) add_gradient(master_, dy, x);
  at::Tensor dx = onto.defined() ? onto.addmm_(dy, compute_) : at::mm(dy, compute_);
  if (adapter_) adapter_->backward(dy, x, dx);
  return dx;
}

}  // namespace plumbline
