#include "worker/model/layers.hpp"

#include <cmath>
#include <limits>

namespace plumbline::layers {

at::Tensor relative_buckets(const at::Tensor& relative, bool bidirectional, int buckets, int max_distance) {
  at::Tensor distance, base = at::zeros_like(relative);
  int n = buckets;
  if (bidirectional) {
    n /= 2;
    base = relative.gt(0).to(at::kLong) * n;
    distance = relative.abs();
  } else {
    distance = -relative.clamp_max(0);
  }
  const int exact = n / 2;
  // The same fp32 operations as HF's, so that a distance on a boundary falls into the same bucket.
  const at::Tensor scaled =
      at::log(distance.to(at::kFloat) / exact) / std::log(static_cast<double>(max_distance) / exact) * (n - exact);
  const at::Tensor far = (scaled.clamp_min(0).to(at::kLong) + exact).clamp_max(n - 1);
  return base + at::where(distance.lt(exact), distance, far);
}

at::Tensor position_bias(const at::Tensor& relative_bias, std::int64_t length, bool bidirectional, int max_distance) {
  const at::Tensor position = at::arange(length, relative_bias.options().dtype(at::kLong).requires_grad(false));
  const at::Tensor relative = position.unsqueeze(0) - position.unsqueeze(1);
  const at::Tensor bucket =
      relative_buckets(relative, bidirectional, static_cast<int>(relative_bias.size(0)), max_distance);
  return at::embedding(relative_bias, bucket).permute({2, 0, 1}).contiguous();
}

at::Tensor additive_mask(const at::Tensor& mask_BS) {
  if (mask_BS.is_cpu() && mask_BS.all().item<bool>()) return {};
  return at::zeros(mask_BS.sizes(), mask_BS.options().dtype(at::kFloat))
      .masked_fill_(mask_BS.logical_not(), std::numeric_limits<float>::lowest());
}

}  // namespace plumbline::layers
