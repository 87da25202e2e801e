#include "worker/model/passes.hpp"

#include <algorithm>
#include <type_traits>

#include "worker/model/cpu_kernels.hpp"

namespace plumbline::passes {

namespace {

/// Elements that a thread takes at least.
constexpr std::int64_t kGrain = 16'384;

std::int64_t grain_of(std::int64_t width) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, width));
}

/// Calls `work` with the CPU's kernels for x's type and a null pointer of that type.
template <class Work>
void with_kernels(const at::Tensor& x, const Work& work) {
  static const CpuKernels& kernels = cpu_kernels(at::get_cpu_capability().c_str());
  if (x.scalar_type() == at::kBFloat16)
    work(kernels.bf16, static_cast<Bf16*>(nullptr));
  else
    work(kernels.fp32, static_cast<float*>(nullptr));
}

template <class Pointer>
Pointer data(const at::Tensor& x) {
  if (!x.defined()) return nullptr;
  if constexpr (std::is_const_v<std::remove_pointer_t<Pointer>>)
    return static_cast<Pointer>(x.const_data_ptr());
  else
    return static_cast<Pointer>(x.mutable_data_ptr());
}
const float* floats(const at::Tensor& x) { return data<const float*>(x); }
float* floats(at::Tensor& x) { return data<float*>(x); }

at::Tensor act(const at::Tensor& x, Activation activation) {
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

at::Tensor act_backward(const at::Tensor& dy, const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return at::threshold_backward(dy, x, 0);
    case Activation::kGelu:
      return at::gelu_backward(dy, x);
    case Activation::kGeluNew:
      return at::gelu_backward(dy, x, "tanh");
    case Activation::kSilu:
      return at::silu_backward(dy, x);
  }
  return {};
}

/// Has the CPU one loop for it? The exact GELU needs the error function, which libtorch has.
bool has_kernel(const at::Tensor& x, Activation activation) { return x.is_cpu() && activation != Activation::kGelu; }

}  // namespace

Normed rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::ScalarType type) {
  if (!x.is_cpu()) {
    const at::Tensor inverse = at::mul(x, x).mean(-1, true).add_(epsilon).rsqrt_();
    return {at::mul(x, inverse).mul_(weight).to(type), inverse.squeeze(-1)};
  }
  const std::int64_t N = x.size(0), D = x.size(1);
  Normed normed{at::empty({N, D}, x.options().dtype(type)), at::empty({N}, x.options())};
  with_kernels(normed.y, [&](const auto& kernels, auto* of) {
    using T = std::remove_pointer_t<decltype(of)>;
    T* y = data<T*>(normed.y);
    at::parallel_for(0, N, grain_of(D), [&](std::int64_t begin, std::int64_t end) {
      kernels.rms_norm(floats(x) + begin * D, floats(weight), static_cast<float>(epsilon), end - begin, D,
                       y + begin * D, floats(normed.inverse) + begin);
    });
  });
  return normed;
}

at::Tensor rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& inverse, const at::Tensor& residual, at::Tensor& dweight) {
  const std::int64_t N = x.size(0), D = x.size(1);
  if (!x.is_cpu()) {
    const at::Tensor g = dy.to(at::kFloat), scale = inverse.unsqueeze(-1), normed = at::mul(x, scale);
    if (dweight.defined()) dweight.add_(at::mul(g, normed).sum(0));
    at::Tensor dx = at::mul(g, weight);
    const at::Tensor mean = at::mul(dx, normed).mean(-1, true);
    dx.sub_(normed.mul_(mean)).mul_(scale);
    return residual.defined() ? dx.add_(residual) : dx;
  }
  at::Tensor dx = at::empty({N, D}, x.options());
  with_kernels(dy, [&](const auto& kernels, auto* of) {
    using T = std::remove_pointer_t<decltype(of)>;
    const T* g = data<const T*>(dy);
    const float* added = data<const float*>(residual);
    at::parallel_for(0, N, grain_of(D), [&](std::int64_t begin, std::int64_t end) {
      kernels.rms_norm_backward(g + begin * D, floats(x) + begin * D, floats(weight), floats(inverse) + begin,
                                added == nullptr ? nullptr : added + begin * D, end - begin, D, floats(dx) + begin * D);
    });
    if (!dweight.defined()) return;
    at::parallel_for(0, D, std::max<std::int64_t>(16, grain_of(N)), [&](std::int64_t begin, std::int64_t end) {
      kernels.rms_norm_weight(g, floats(x), floats(inverse), N, D, begin, end, floats(dweight));
    });
  });
  return dx;
}

at::Tensor activate(const at::Tensor& a, const at::Tensor& b, Activation activation) {
  if (!has_kernel(a, activation)) {
    at::Tensor y = act(a, activation);
    return b.defined() ? y.mul_(b) : y;
  }
  at::Tensor y = at::empty_like(a);
  with_kernels(a, [&](const auto& kernels, auto* of) {
    using T = std::remove_pointer_t<decltype(of)>;
    const auto kernel = activation == Activation::kRelu   ? kernels.relu
                        : activation == Activation::kSilu ? kernels.silu
                                                          : kernels.gelu;
    const T *pa = data<const T*>(a), *pb = data<const T*>(b);
    T* out = data<T*>(y);
    at::parallel_for(0, a.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernel(pa + begin, pb == nullptr ? nullptr : pb + begin, end - begin, out + begin);
    });
  });
  return y;
}

ActivationGradients activate_backward(const at::Tensor& dy, at::Tensor a, at::Tensor b, Activation activation) {
  if (!has_kernel(a, activation)) {
    if (!b.defined()) return {act_backward(dy, a, activation), {}};
    at::Tensor da = act_backward(at::mul(dy, b), a, activation);
    return {std::move(da), act(a, activation).mul_(dy)};
  }
  with_kernels(a, [&](const auto& kernels, auto* of) {
    using T = std::remove_pointer_t<decltype(of)>;
    const auto kernel = activation == Activation::kRelu   ? kernels.relu_backward
                        : activation == Activation::kSilu ? kernels.silu_backward
                                                          : kernels.gelu_backward;
    const T* g = data<const T*>(dy);
    T *pa = data<T*>(a), *pb = data<T*>(b);
    at::parallel_for(0, a.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      T* gate = pb == nullptr ? nullptr : pb + begin;
      kernel(g + begin, pa + begin, gate, end - begin, pa + begin, gate);
    });
  });
  return {std::move(a), std::move(b)};
}

void softmax_(at::Tensor& scores, const ScoreTerms& terms, std::int64_t heads) {
  const std::int64_t batch = scores.size(0), T = scores.size(1), S = scores.size(2), B = batch / heads;
  if (!scores.is_cpu()) {
    at::Tensor x = scores.view({B, heads, T, S}).to(at::kFloat);
    if (terms.bias_HTS.defined()) x = x + terms.bias_HTS;
    if (terms.mask_BS.defined()) x = x + terms.mask_BS.view({B, 1, 1, S});
    scores = at::softmax(x, -1).to(scores.scalar_type()).view({batch, T, S});
    return;
  }
  const float *bias = data<const float*>(terms.bias_HTS), *mask = data<const float*>(terms.mask_BS);
  with_kernels(scores, [&](const auto& kernels, auto* of) {
    using E = std::remove_pointer_t<decltype(of)>;
    E* out = data<E*>(scores);
    at::parallel_for(0, batch, grain_of(T * S), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        kernels.softmax(out + i * T * S, bias == nullptr ? nullptr : bias + (i % heads) * T * S, S,
                        mask == nullptr ? nullptr : mask + (i / heads) * S, T, S);
    });
  });
}

void softmax_backward_(at::Tensor& dweights, const at::Tensor& weights, std::int64_t heads, at::Tensor& dbias) {
  const std::int64_t batch = weights.size(0), T = weights.size(1), S = weights.size(2), B = batch / heads;
  if (!weights.is_cpu()) {
    const at::Tensor ds = at::_softmax_backward_data(dweights.to(at::kFloat), weights.to(at::kFloat), -1, at::kFloat);
    if (dbias.defined()) dbias.add_(ds.view({B, heads, T, S}).sum(0));
    dweights = ds.to(weights.scalar_type());
    return;
  }
  float* bias = data<float*>(dbias);
  with_kernels(weights, [&](const auto& kernels, auto* of) {
    using E = std::remove_pointer_t<decltype(of)>;
    E* ds = data<E*>(dweights);
    const E* p = data<const E*>(weights);
    // A head's rows are one thread's, in their order: the bias of the head is a sum over them.
    at::parallel_for(0, heads, grain_of(B * T * S), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t h = begin; h < end; ++h)
        for (std::int64_t b = 0; b < B; ++b) {
          const std::int64_t at = (b * heads + h) * T * S;
          kernels.softmax_backward(ds + at, p + at, T, S, bias == nullptr ? nullptr : bias + h * T * S, S);
        }
    });
  });
}

at::Tensor attend(const at::Tensor& q, const Written& written, const at::Tensor& bias_HL, const at::Tensor& mask_WL) {
  const std::int64_t rows = q.size(0), width = q.size(1), L = written.length, H = written.keys_WHCK.size(1);
  const WrittenStrides strides{written.keys_WHCK.stride(2), written.keys_WHCK.stride(0), written.keys_WHCK.stride(1)};
  at::Tensor out = at::empty_like(q);
  const float *bias = data<const float*>(bias_HL), *mask = data<const float*>(mask_WL);
  with_kernels(q, [&](const auto& kernels, auto* of) {
    using T = std::remove_pointer_t<decltype(of)>;
    const T *pq = data<const T*>(q), *keys = data<const T*>(written.keys_WHCK),
            *values = data<const T*>(written.values_WHCK);
    T* po = data<T*>(out);
    at::parallel_for(0, rows, grain_of(L * width), [&](std::int64_t begin, std::int64_t end) {
      kernels.attend(pq, keys, values, strides, written.origin, written.origin_stride, bias, L, mask, begin, end, L, H,
                     width / H, po);
    });
  });
  return out;
}

at::Tensor add(const at::Tensor& residual, const at::Tensor& x) {
  if (!x.is_cpu() || x.scalar_type() == at::kFloat) return at::add(residual, x);
  at::Tensor y = at::empty_like(residual);
  with_kernels(x, [&](const auto& kernels, auto* of) {
    using T = std::remove_pointer_t<decltype(of)>;
    const T* px = data<const T*>(x);
    at::parallel_for(0, x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels.add(floats(residual) + begin, px + begin, end - begin, floats(y) + begin);
    });
  });
  return y;
}

}  // namespace plumbline::passes
