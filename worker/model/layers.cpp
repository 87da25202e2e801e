#include "worker/model/layers.hpp"

#include <cmath>
#include <limits>

#include "worker/model/cpu_kernels.hpp"

namespace plumbline::layers {

std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

void DropoutMask::apply_(at::Tensor& x) const {
  if (!active()) return;
  const auto scale = static_cast<float>(1.0 / (1.0 - rate_));
  if (!x.is_cpu()) {
    at::Generator generator =
        at::globalContext().getAcceleratorHooksInterface(x.device().type()).getNewGenerator(x.device().index());
    generator.set_current_seed(stream_);
    x.mul_(at::empty_like(x).bernoulli_(1.0 - rate_, generator).mul_(scale));
    return;
  }
  const auto dropped = static_cast<std::uint64_t>(std::lround(rate_ * 65'536));
  const CpuKernels& kernels = cpu_kernels(at::get_cpu_capability().c_str());
  void* data = x.mutable_data_ptr();
  const std::int64_t n = x.numel(), groups = (n + 3) / 4;
  const bool is_bf16 = x.scalar_type() == at::kBFloat16;
  at::parallel_for(0, groups, 4096, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t last = std::min(4 * end, n);
    if (is_bf16)
      kernels.bf16.dropout(static_cast<Bf16*>(data), stream_, dropped, scale, 4 * begin, last);
    else
      kernels.fp32.dropout(static_cast<float*>(data), stream_, dropped, scale, 4 * begin, last);
  });
}

DropoutMask Dropout::next() { return rate_ > 0 ? DropoutMask(rate_, mix(seed_ + calls_++)) : DropoutMask(); }

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
