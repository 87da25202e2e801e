// Algorithms 4 (matrices), 5 (vectors) and 6 (its proposed settings) of Shazeer & Stern 2018, t from 1:
//   b2 = 1 - t^-0.8;  G = g^2 + e1
//   matrix:  R = b2 R + (1-b2) mean of G's rows;  C = b2 C + (1-b2) mean of G's columns
//            U = g / sqrt(R C^T / mean(R))
//   vector:  V = b2 V + (1-b2) G;  U = g / sqrt(V)
//   U = U / max(1, rms(U) / d)
//   a = rate, or rate max(e2, rms(w)) with scale_parameter
//   beta1 above 0:  m = beta1 m + (1-beta1) a U, and m takes the place of a U
//   w = w (1 - a decay) - a U
// The paper's relative step size, min(0.01, 1/sqrt(t)), is the schedule's business: optimizer.schedule: inverse_sqrt.
#include "worker/optimizer/adafactor.hpp"

#include <algorithm>
#include <cmath>

#include "common/core/check.hpp"

namespace plumbline {

namespace {

constexpr double kDecayExponent = -0.8;
constexpr double kEpsilon1 = 1e-30, kEpsilon2 = 1e-3;
constexpr double kClipThreshold = 1.0;  // d

at::Tensor root_mean_square(const at::Tensor& x) {
  return at::linalg_vector_norm(x) / std::sqrt(static_cast<double>(x.numel()));
}

/// average = decay average + (1 - decay) value
void move(at::Tensor& average, const at::Tensor& value, double decay) { average.mul_(decay).add_(value, 1 - decay); }

}  // namespace

Adafactor::Adafactor(const OptimizerConfig& config, Parameters& parameters)
    : config_(config), beta1_(beta1_of(config)), parameters_(&parameters) {
  const at::TensorOptions options = parameters.flat().options();
  std::int64_t largest = 0;
  for (const auto& spec : parameters.specs()) {
    Moments moments;
    if (spec.shape.size() == 2) {
      moments.row = at::zeros({spec.shape[0]}, options);
      moments.column = at::zeros({spec.shape[1]}, options);
    } else {
      moments.exp_avg_sq = at::zeros(spec.shape, options);
    }
    if (beta1_ > 0) moments.exp_avg = at::zeros(spec.shape, options);
    moments_.push_back(std::move(moments));
    largest = std::max(largest, spec.size());
  }
  work_ = at::empty({largest}, options);
}

at::Tensor Adafactor::direction(Moments& moments, const at::Tensor& gradient, double scale, std::int64_t step) {
  const double beta2 = 1 - std::pow(static_cast<double>(step), kDecayExponent);
  at::Tensor update = work_.narrow(0, 0, gradient.numel()).view(gradient.sizes());
  at::mul_out(update, gradient, gradient).mul_(scale * scale).add_(kEpsilon1);
  if (moments.row.defined()) {
    move(moments.row, update.mean(1), beta2);
    move(moments.column, update.mean(0), beta2);
    const at::Tensor row = (moments.row / moments.row.mean()).rsqrt_().mul_(scale);
    at::mul_out(update, row.unsqueeze(1), moments.column.rsqrt().unsqueeze(0)).mul_(gradient);
  } else {
    move(moments.exp_avg_sq, update, beta2);
    at::rsqrt_out(update, moments.exp_avg_sq).mul_(gradient).mul_(scale);
  }
  return update.div_((root_mean_square(update) / kClipThreshold).clamp_min_(1));
}

void Adafactor::step(const at::Tensor& flat_gradient, double scale, std::int64_t step, double rate) {
  const at::NoGradGuard no_grad;
  PLUMBLINE_CHECK(flat_gradient.numel() == parameters_->flat_size(), "the gradient does not fit the parameters");
  for (std::size_t i = 0; i < moments_.size(); ++i) {
    const ParameterSpec& spec = parameters_->specs()[i];
    const auto view = [&](const at::Tensor& flat) { return flat.narrow(0, spec.offset, spec.size()).view(spec.shape); };
    at::Tensor weight = view(parameters_->flat());
    at::Tensor size = at::full({}, rate, weight.options());
    if (config_.scale_parameter) size.mul_(root_mean_square(weight).clamp_min_(kEpsilon2));
    at::Tensor update = direction(moments_[i], view(flat_gradient), scale, step).mul_(size);
    if (beta1_ > 0) {
      move(moments_[i].exp_avg, update, beta1_);
      update = moments_[i].exp_avg;
    }
    if (config_.weight_decay != 0 && decays(spec.name)) weight.mul_(1 - size * config_.weight_decay);
    weight.sub_(update);
  }
}

std::vector<OptimizerPart> Adafactor::state() const {
  OptimizerPart row{"exp_avg_sq_row", {}}, column{"exp_avg_sq_col", {}}, whole{"exp_avg_sq", {}}, mean{"exp_avg", {}};
  for (std::size_t i = 0; i < moments_.size(); ++i) {
    const std::string& name = parameters_->specs()[i].name;
    const Moments& moments = moments_[i];
    if (moments.row.defined()) {
      row.tensors.push_back({name, moments.row});
      column.tensors.push_back({name, moments.column});
    } else {
      whole.tensors.push_back({name, moments.exp_avg_sq});
    }
    if (moments.exp_avg.defined()) mean.tensors.push_back({name, moments.exp_avg});
  }
  std::vector<OptimizerPart> parts;
  for (OptimizerPart* part : {&row, &column, &whole, &mean})
    if (!part->tensors.empty()) parts.push_back(std::move(*part));
  return parts;
}

}  // namespace plumbline
