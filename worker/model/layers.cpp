#include "worker/model/layers.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>

namespace plumbline::layers {

namespace {
at::Generator make_generator(at::Device device, std::uint64_t seed) {
  at::Generator generator =
      at::globalContext().getAcceleratorHooksInterface(device.type()).getNewGenerator(device.index());
  generator.set_current_seed(seed);
  return generator;
}

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluNew:
      return at::gelu(x, "tanh");
    case Activation::kSilu:
      return at::silu(x);
  }
  return {};
}

/// One node with a closed-form gradient in place of the seven that the formula's operators would record.
struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            double epsilon) {
    const at::Tensor inverse = at::mul(x, x).mean(-1, true).add_(epsilon).rsqrt_();
    ctx->save_for_backward({x, weight, inverse});
    return at::mul(x, inverse).mul_(weight);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const at::Tensor normed = at::mul(x, inverse);
    const at::Tensor dweight = at::mul(grads[0], normed).sum(0);
    at::Tensor g = at::mul(grads[0], weight);
    const at::Tensor mean = at::mul(g, normed).mean(-1, true);
    at::Tensor dx = g.sub_(at::mul(normed, mean)).mul_(inverse);
    return {dx, dweight, at::Tensor()};
  }
};
}  // namespace

std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

Dropout::Dropout(double rate, std::uint64_t seed, at::Device device) : rate_(rate), seed_(seed) {
  if (rate > 0 && !device.is_cpu()) generator_ = make_generator(device, seed);
}

at::Tensor Dropout::operator()(const at::Tensor& x) {
  if (!active()) return x;
  at::Tensor mask = at::empty(x.sizes(), x.options().requires_grad(false));
  const auto scale = static_cast<float>(1.0 / (1.0 - rate_));
  if (generator_) {
    mask.bernoulli_(1.0 - rate_, generator_).mul_(scale);
  } else {
    const std::uint64_t stream = mix(seed_ + calls_++);
    const auto dropped = static_cast<std::uint64_t>(std::lround(rate_ * 65'536));
    float* out = mask.mutable_data_ptr<float>();
    const std::int64_t n = mask.numel(), whole = n / 4 * 4;
    const auto value = [&](std::uint64_t bits) { return (bits & 0xffff) < dropped ? 0.0f : scale; };
    for (std::int64_t i = 0; i < whole; i += 4) {  // One hash for four elements.
      const std::uint64_t bits = mix(stream + static_cast<std::uint64_t>(i));
      for (int j = 0; j < 4; ++j) out[i + j] = value(bits >> (16 * j));
    }
    for (std::int64_t i = whole; i < n; ++i)
      out[i] = value(mix(stream + static_cast<std::uint64_t>(whole)) >> (16 * (i - whole)));
  }
  return x * mask;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return RmsNorm::apply(x, weight, epsilon);
}

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
  return at::embedding(relative_bias, bucket).permute({2, 0, 1});
}

at::Tensor additive_mask(const at::Tensor& mask_BS) {
  return at::zeros(mask_BS.sizes(), mask_BS.options().dtype(at::kFloat))
      .masked_fill_(mask_BS.logical_not(), std::numeric_limits<float>::lowest());
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias,
                     std::int64_t rows, std::int64_t heads, Dropout& dropout) {
  const std::int64_t width = q.size(1), batch = rows * heads, d_kv = width / heads;
  const auto split = [&](const at::Tensor& x) { return x.view({-1, batch, d_kv}).transpose(0, 1); };
  const at::Tensor scores = at::baddbmm(bias, split(q), split(k).transpose(1, 2));
  const at::Tensor weights = dropout(at::softmax(scores, -1));
  return at::bmm(weights, split(v)).transpose(0, 1).reshape({-1, width});
}

at::Tensor project_and_add(const at::Tensor& residual, const at::Tensor& x, const at::Tensor& weight,
                           Dropout& dropout) {
  if (!dropout.active()) return at::addmm(residual, x, weight.t());
  return residual + dropout(at::mm(x, weight.t()));
}

at::Tensor feed_forward(const at::Tensor& residual, const at::Tensor& normed, const FeedForwardWeights& w,
                        Dropout& dropout) {
  at::Tensor hidden = activate(at::mm(normed, w.wi_0.t()), w.activation);
  if (w.wi_1.defined()) hidden = hidden * at::mm(normed, w.wi_1.t());
  return project_and_add(residual, dropout(hidden), w.wo, dropout);
}

}  // namespace plumbline::layers
