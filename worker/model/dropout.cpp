#include "worker/model/dropout.hpp"

#include <algorithm>
#include <cmath>

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

}  // namespace plumbline::layers
