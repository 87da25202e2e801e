// m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
// w = w (1 - rate decay) - rate (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
// Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
#include "worker/optimizer/adamw.hpp"

#include <algorithm>
#include <cmath>

#include "common/core/check.hpp"

namespace plumbline {

namespace {

constexpr std::int64_t kBlock = 65'536;

bool decays(const std::string& name) {
  return name.find("layer_norm") == std::string::npos && name.find("relative_attention_bias") == std::string::npos;
}

/// Sum of squares of one block: sixteen running sums, so that the compiler may vectorise without changing the order.
double block_sum(const float* x, std::int64_t n) {
  double sums[16] = {};
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; ++j) sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  for (int j = 0; i < n; ++i, ++j) sums[j] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  for (int width = 8; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) sums[j] += sums[j + width];
  return sums[0];
}

double tree_sum(const std::vector<double>& values, std::size_t lo, std::size_t hi) {
  if (hi - lo == 1) return values[lo];
  const std::size_t mid = (lo + hi) / 2;
  return tree_sum(values, lo, mid) + tree_sum(values, mid, hi);
}

}  // namespace

double gradient_norm(const at::Tensor& flat_gradient) {
  const at::NoGradGuard no_grad;
  const std::int64_t n = flat_gradient.numel();
  if (n == 0) return 0;
  std::vector<double> sums;
  sums.reserve(static_cast<std::size_t>((n + kBlock - 1) / kBlock));
  if (flat_gradient.is_cpu()) {
    const float* data = flat_gradient.const_data_ptr<float>();
    for (std::int64_t i = 0; i < n; i += kBlock) sums.push_back(block_sum(data + i, std::min(kBlock, n - i)));
  } else {  // One reduction a block, and one copy to the host for all of them.
    std::vector<at::Tensor> blocks;
    for (std::int64_t i = 0; i < n; i += kBlock)
      blocks.push_back(flat_gradient.narrow(0, i, std::min(kBlock, n - i)).to(at::kDouble).square_().sum());
    const at::Tensor host = at::stack(blocks).to(at::kCPU);
    const double* data = host.const_data_ptr<double>();
    sums.assign(data, data + host.numel());
  }
  return std::sqrt(tree_sum(sums, 0, sums.size()));
}

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
    at::_fused_adamw_(weights, gradients, averages, squares, {}, steps, rate, config_.beta1, config_.beta2,
                      decay ? config_.weight_decay : 0.0, config_.epsilon, /*amsgrad=*/false, /*maximize=*/false);
  }
}

}  // namespace plumbline
