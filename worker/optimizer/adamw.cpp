// m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
// w = w (1 - rate decay) - rate (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
// Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
#include "worker/optimizer/adamw.hpp"

#include "common/core/check.hpp"

namespace plumbline {

namespace {

std::vector<NamedTensor> named(const Parameters& parameters, const at::Tensor& flat) {
  std::vector<NamedTensor> tensors;
  for (const auto& spec : parameters.specs())
    tensors.push_back({spec.name, flat.narrow(0, spec.offset, spec.size()).view(spec.shape)});
  return tensors;
}

}  // namespace

AdamW::AdamW(const OptimizerConfig& config, Parameters& parameters)
    : config_(config), parameters_(&parameters), exp_avg_(parameters.new_flat()), exp_avg_sq_(parameters.new_flat()) {
  for (const auto& spec : parameters.specs()) {
    const bool decay = config.weight_decay != 0 && decays(spec.name);
    if (ranges_.empty() || ranges_.back().decays != decay) ranges_.push_back({spec.offset, 0, decay});
  }
  for (std::size_t i = 0; i < ranges_.size(); ++i)  // The gaps stay zero: their gradients are.
    ranges_[i].size = (i + 1 < ranges_.size() ? ranges_[i + 1].offset : parameters.flat_size()) - ranges_[i].offset;
}

void AdamW::step(const at::Tensor& flat_gradient, double scale, std::int64_t step, double rate) {
  const at::NoGradGuard no_grad;
  PLUMBLINE_CHECK(flat_gradient.numel() == parameters_->flat_size(), "the gradient does not fit the parameters");
  const at::Tensor gradient = scale == 1.0 ? flat_gradient : flat_gradient * scale;
  const at::Tensor count = at::full({}, static_cast<double>(step), gradient.options());
  for (const bool decay : {true, false}) {
    std::vector<at::Tensor> weights, gradients, averages, squares, steps;
    for (const auto& range : ranges_) {
      if (range.decays != decay) continue;
      weights.push_back(parameters_->flat().narrow(0, range.offset, range.size));
      gradients.push_back(gradient.narrow(0, range.offset, range.size));
      averages.push_back(exp_avg_.narrow(0, range.offset, range.size));
      squares.push_back(exp_avg_sq_.narrow(0, range.offset, range.size));
      steps.push_back(count);
    }
    if (weights.empty()) continue;
    at::_fused_adamw_(weights, gradients, averages, squares, {}, steps, rate, beta1_of(config_), config_.beta2,
                      decay ? config_.weight_decay : 0.0, config_.epsilon, /*amsgrad=*/false, /*maximize=*/false);
  }
}

std::vector<OptimizerPart> AdamW::state() const {
  return {{"exp_avg", named(*parameters_, exp_avg_)}, {"exp_avg_sq", named(*parameters_, exp_avg_sq_)}};
}

}  // namespace plumbline
