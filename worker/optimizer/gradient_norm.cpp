#include <algorithm>
#include <cmath>

#include "worker/optimizer/optimizer.hpp"

namespace plumbline {

namespace {

constexpr std::int64_t kBlock = 65'536;

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

}  // namespace plumbline
