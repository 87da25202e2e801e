#include "worker/model/packed_weight.hpp"

#include <algorithm>

#include "worker/model/cpu_products.hpp"

namespace plumbline {

namespace {

/// Multiplications that a thread takes at least.
constexpr std::int64_t kGrain = 1 << 18;

const CpuProducts* products() {
  static const CpuProducts* const chosen = cpu_products(at::get_cpu_capability().c_str());
  return chosen;
}

}  // namespace

PackedWeight::PackedWeight(const at::Tensor& weight_OI) {
  if (!weight_OI.is_cpu() || weight_OI.scalar_type() != at::kFloat || products() == nullptr) return;
  const at::NoGradGuard no_grad;
  const at::Tensor weight = weight_OI.detach().contiguous();
  const std::int64_t I = weight.size(1), C = products()->columns;
  outputs_ = weight.size(0);
  panels_ = at::empty({(outputs_ + C - 1) / C, I, C}, weight.options());
  products()->pack(weight.const_data_ptr<float>(), outputs_, I, panels_.mutable_data_ptr<float>());
}

at::Tensor PackedWeight::multiply(const at::Tensor& x, const at::Tensor& residual) const {
  const std::int64_t N = x.size(0), I = x.size(1);
  at::Tensor y = at::empty({N, outputs_}, x.options());
  const at::Tensor rows = x.contiguous(), added = residual.defined() ? residual.contiguous() : residual;
  const float *from = rows.const_data_ptr<float>(), *panels = panels_.const_data_ptr<float>(),
              *onto = added.defined() ? added.const_data_ptr<float>() : nullptr;
  float* to = y.mutable_data_ptr<float>();
  const std::int64_t grain = std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, N * I * panels_.size(2)));
  at::parallel_for(0, panels_.size(0), grain, [&](std::int64_t begin, std::int64_t end) {
    products()->multiply(from, N, I, panels, begin, end, outputs_, onto, to);
  });
  return y;
}

}  // namespace plumbline
