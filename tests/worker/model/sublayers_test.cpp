#include "worker/model/sublayers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/worker/golden.hpp"
#include "worker/model/cpu_kernels.hpp"

namespace plumbline {
namespace {

// --- the same bits with every instruction set

std::vector<const char*> instruction_sets() {
  std::vector<const char*> sets{"DEFAULT"};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) sets.push_back("AVX2");
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    sets.push_back("AVX512");
#endif
  return sets;
}

/// Everything that the kernels of `set` make of the same inputs, one after the other. D is no multiple of a vector.
at::Tensor all_results(const CpuKernels& kernels, at::ScalarType type) {
  const std::int64_t N = 7, D = 45;
  at::Generator generator = at::detail::createCPUGenerator(3);
  const auto random = [&](at::ScalarType of) { return at::randn({N, D}, generator, at::kFloat).mul_(3).to(of); };
  const at::Tensor x = random(at::kFloat), weight = random(at::kFloat)[0].contiguous();
  const at::Tensor bias = random(at::kFloat), mask = random(at::kFloat)[0].contiguous(), residual = random(at::kFloat);
  const at::Tensor a = random(type), b = random(type), g = random(type);
  std::vector<at::Tensor> results;
  const auto run = [&](const auto& k, auto* of) {
    using T = std::remove_pointer_t<decltype(of)>;
    const auto in = [](const at::Tensor& t) { return static_cast<const T*>(t.const_data_ptr()); };
    const auto out = [&](at::Tensor t) {
      results.push_back(t);
      return static_cast<T*>(t.mutable_data_ptr());
    };
    const auto floats = [&](at::Tensor t) {
      results.push_back(t);
      return t.mutable_data_ptr<float>();
    };
    const auto cf = [](const at::Tensor& t) { return t.const_data_ptr<float>(); };
    const at::Tensor inverse = at::zeros({N});
    k.rms_norm(cf(x), cf(weight), 1e-6f, N, D, out(at::empty_like(a)), floats(inverse));
    k.rms_norm_backward(in(g), cf(x), cf(weight), cf(inverse), cf(residual), N, D, floats(at::empty_like(x)));
    k.rms_norm_backward(in(g), cf(x), cf(weight), cf(inverse), nullptr, N, D, floats(at::empty_like(x)));
    k.rms_norm_weight(in(g), cf(x), cf(inverse), N, D, 0, D, floats(at::zeros({D})));
    for (const auto forward : {k.gelu, k.silu, k.relu}) {
      forward(in(a), in(b), N * D, out(at::empty_like(a)));
      forward(in(a), nullptr, N * D, out(at::empty_like(a)));
    }
    for (const auto backward : {k.gelu_backward, k.silu_backward, k.relu_backward}) {
      backward(in(g), in(a), in(b), N * D, out(at::empty_like(a)), out(at::empty_like(a)));
      backward(in(g), in(a), nullptr, N * D, out(at::empty_like(a)), nullptr);
    }
    const at::Tensor p = a.clone();
    k.softmax(out(p), cf(bias), D, cf(mask), N, D);
    k.softmax(out(a.clone()), nullptr, 0, nullptr, N, D);
    k.softmax_backward(out(g.clone()), in(p), N, D, floats(at::zeros({N, D})), D);
    const std::int32_t origin[] = {0, 2, 1, 1, 3, 0};  // three positions of blocks of four rows, two rows, H 3, K 5
    k.attend(in(a), in(b), in(g), {60, 15, 5}, origin, 2, cf(bias), 3, nullptr, 0, 2, 3, 3, 5,
             out(at::zeros({2, 15}, type)));
    k.attend(in(a), in(b), in(g), {60, 15, 5}, origin, 0, nullptr, 0, cf(bias), 0, 2, 3, 3, 5,
             out(at::zeros({2, 15}, type)));
    // One head of 37: two vectors and a rest; positions side by side.
    k.attend(in(a), in(b), in(g), {37, 74, 0}, origin, 2, nullptr, 0, nullptr, 0, 2, 2, 1, 37,
             out(at::zeros({2, 37}, type)));
    k.add(cf(residual), in(a), N * D, floats(at::empty_like(x)));
    k.dropout(out(a.clone()), 99, 20'000, 1.5f, 0, N * D);
  };
  if (type == at::kBFloat16)
    run(kernels.bf16, static_cast<Bf16*>(nullptr));
  else
    run(kernels.fp32, static_cast<float*>(nullptr));
  std::vector<at::Tensor> flat;
  for (const at::Tensor& t : results) flat.push_back(t.to(at::kFloat).reshape({-1}));
  return at::cat(flat);
}

TEST(CpuKernelsTest, EveryInstructionSetGivesTheSameBits) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor plain = all_results(cpu_kernels("DEFAULT"), type);
    EXPECT_TRUE(plain.isfinite().all().item<bool>());
    EXPECT_GT(plain.numel(), 5000);
    for (const char* set : instruction_sets())
      EXPECT_TRUE(at::equal(plain, all_results(cpu_kernels(set), type))) << set << " " << type;
  }
}

TEST(CpuKernelsTest, TheTypesRoundAsLibtorchDoes) {
  at::Tensor values = at::tensor({1.0f, 1.00390625f, 1.01171875f, -3.14159f, 1e38f, 1e-39f, 0.0f, INFINITY, NAN});
  const at::Tensor zero = at::zeros({1, 1, 9});
  const at::Tensor x = values.to(at::kBFloat16), kept = passes::add(at::zeros({9}), x);
  EXPECT_TRUE(at::equal(kept.narrow(0, 0, 8), x.to(at::kFloat).narrow(0, 0, 8)));
  EXPECT_TRUE(std::isnan(kept[8].item<float>()));
}

TEST(PassesTest, SoftmaxIsThatOfLibtorchAndMaskedKeysGetNothing) {
  const std::int64_t B = 2, H = 3, T = 5, S = 21;
  const at::Tensor scores = 20 * at::randn({B * H, T, S}), bias = at::randn({H, T, S});
  at::Tensor mask = at::zeros({B, S});
  mask.index_put_({at::tensor({0, 0, 1}), at::tensor({3, 20, 0})}, at::tensor(std::numeric_limits<float>::lowest()));
  const at::Tensor expected =
      at::softmax(scores.view({B, H, T, S}).to(at::kDouble) + bias + mask.view({B, 1, 1, S}), -1);
  at::Tensor weights = scores.clone();
  passes::softmax_(weights, {bias, mask}, H);
  EXPECT_LT(largest_difference(weights.view({B, H, T, S}), expected), 1e-6);
  EXPECT_EQ(weights.view({B, H, T, S})[0].select(2, 20).abs().max().item<float>(), 0);
  at::Tensor all_masked = scores.clone();
  passes::softmax_(all_masked, {{}, at::full({B, S}, std::numeric_limits<float>::lowest())}, H);
  EXPECT_TRUE(all_masked.isfinite().all().item<bool>()) << "a row without keys is no NaN";
}

// --- gradients, against autograd through the formulas

struct Sublayers {
  static constexpr std::int64_t T = 6, B = 3, S = 4, D = 8, H = 2, K = 5, F = 11;
  std::vector<at::Tensor> leaves;
  layers::Block block;
  at::Tensor x, memory, bias, mask;

  Sublayers() {
    at::manual_seed(11);
    x = leaf({T * B, D});
    memory = leaf({S * B, D});
    bias = leaf({H, T, T});
    mask = at::zeros({B, T});
    mask[1][5] = std::numeric_limits<float>::lowest();
    for (at::Tensor* norm : {&block.self_norm, &block.cross_norm, &block.ff_norm}) *norm = leaf({D});
    for (auto* attention : {&block.self, &block.cross})
      *attention = {matrix(H * K, D), matrix(H * K, D), matrix(H * K, D), matrix(D, H * K)};
    block.ff = {Activation::kGeluNew, matrix(F, D), matrix(F, D), matrix(D, F)};
  }
  at::Tensor leaf(at::IntArrayRef shape) {
    leaves.push_back(at::randn(shape).mul_(0.7).requires_grad_(true));
    return leaves.back();
  }
  Projection matrix(std::int64_t out, std::int64_t in) {
    const at::Tensor weight = leaf({out, in});
    return {weight, weight};
  }
  std::vector<at::Tensor> gradients_of(const at::Tensor& y) {
    for (const at::Tensor& l : leaves) l.mutable_grad() = at::Tensor();
    at::manual_seed(5);
    (y * at::randn(y.sizes())).sum().backward();
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& l : leaves) gradients.push_back(l.grad().defined() ? l.grad().clone() : at::zeros_like(l));
    return gradients;
  }
};

layers::Pass pass_with(double rate, bool recompute = false) {
  layers::Pass pass;
  pass.rows = Sublayers::B;
  pass.heads = Sublayers::H;
  pass.recompute = recompute;
  pass.dropout = layers::Dropout(rate, 77);
  return pass;
}
at::Tensor mask_values(const layers::DropoutMask& mask, at::IntArrayRef shape) {
  at::Tensor ones = at::ones(shape);
  mask.apply_(ones);
  return ones;
}
at::Tensor reference_norm(const at::Tensor& x, const at::Tensor& weight) {
  return x * (x.square().mean(-1, true) + 1e-6).rsqrt() * weight;
}
/// The formula of a sublayer's attention with libtorch's recorded operators.
at::Tensor reference_attention(const at::Tensor& x, const at::Tensor& norm, const layers::AttentionWeights& w,
                               const at::Tensor& keys_of, const at::Tensor& bias, layers::Pass pass) {
  using S = Sublayers;
  const auto heads = [](const at::Tensor& y) {  // [T*B,HK] -> [B,H,T,K]
    return y.view({-1, S::B, S::H, S::K}).permute({1, 2, 0, 3});
  };
  const at::Tensor n = reference_norm(x, norm), source = keys_of.defined() ? keys_of : n;
  const at::Tensor q = heads(at::mm(n, w.q.master().t())), k = heads(at::mm(source, w.k.master().t())),
                   v = heads(at::mm(source, w.v.master().t()));
  at::Tensor scores = at::matmul(q, k.transpose(2, 3));
  if (bias.defined()) scores = scores + bias;
  const at::Tensor weights =
      at::softmax(scores, -1) * mask_values(pass.dropout.next(), {S::B * S::H, q.size(2), k.size(2)}).view_as(scores);
  const at::Tensor context = at::matmul(weights, v).permute({2, 0, 1, 3}).reshape({-1, S::H * S::K});
  const at::Tensor y = at::mm(context, w.o.master().t());
  return x + y * mask_values(pass.dropout.next(), y.sizes());
}

void expect_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_LT(largest_difference(a[i], b[i]), tolerance * (1 + b[i].abs().max().item<double>())) << "leaf " << i;
}

class SublayersTest : public testing::TestWithParam<double> {
 protected:
  void SetUp() override { at::set_num_threads(1); }
  Sublayers s_;
};
INSTANTIATE_TEST_SUITE_P(Rates, SublayersTest, testing::Values(0.0, 0.4));

TEST_P(SublayersTest, SelfAttentionHasTheGradientsOfItsFormula) {
  layers::Pass pass = pass_with(GetParam());
  const at::Tensor y = layers::self_attention(s_.x, s_.block, s_.bias, s_.mask, pass);
  const at::Tensor bias = s_.bias + s_.mask.view({Sublayers::B, 1, 1, Sublayers::T});
  const at::Tensor expected =
      reference_attention(s_.x, s_.block.self_norm, s_.block.self, {}, bias, pass_with(GetParam()));
  EXPECT_LT(largest_difference(y, expected), 1e-5);
  expect_equal(s_.gradients_of(y), s_.gradients_of(expected), 1e-5);
}

TEST_P(SublayersTest, CrossAttentionHasTheGradientsOfItsFormula) {
  // Every output row attends to another source's memory; two of them to the same.
  const at::Tensor rows = at::tensor({2, 0, 2}, at::kLong);
  const at::Tensor gather =
      (at::arange(Sublayers::S, at::kLong).unsqueeze(1) * Sublayers::B + rows.unsqueeze(0)).reshape({-1});
  layers::Pass pass = pass_with(GetParam());
  const at::Tensor y = layers::cross_attention(s_.x, s_.block, {s_.memory, gather, {}}, pass);
  const at::Tensor expected = reference_attention(s_.x, s_.block.cross_norm, s_.block.cross,
                                                  s_.memory.index_select(0, gather), {}, pass_with(GetParam()));
  EXPECT_LT(largest_difference(y, expected), 1e-5);
  expect_equal(s_.gradients_of(y), s_.gradients_of(expected), 1e-5);
}

TEST_P(SublayersTest, FeedForwardHasTheGradientsOfItsFormula) {
  for (const Activation activation : {Activation::kRelu, Activation::kGelu, Activation::kGeluNew, Activation::kSilu})
    for (const bool gated : {false, true}) {
      s_.block.ff.activation = activation;
      const Projection gate = std::exchange(s_.block.ff.wi_1, gated ? s_.block.ff.wi_1 : Projection());
      layers::Pass pass = pass_with(GetParam());
      const at::Tensor y = layers::feed_forward(s_.x, s_.block, pass);
      pass = pass_with(GetParam());
      const at::Tensor n = reference_norm(s_.x, s_.block.ff_norm);
      const at::Tensor a = at::mm(n, s_.block.ff.wi_0.master().t());
      at::Tensor hidden = activation == Activation::kRelu      ? at::relu(a)
                          : activation == Activation::kGelu    ? at::gelu(a)
                          : activation == Activation::kGeluNew ? at::gelu(a, "tanh")
                                                               : at::silu(a);
      if (gated) hidden = hidden * at::mm(n, gate.master().t());
      hidden = hidden * mask_values(pass.dropout.next(), hidden.sizes());
      const at::Tensor out = at::mm(hidden, s_.block.ff.wo.master().t());
      const at::Tensor expected = s_.x + out * mask_values(pass.dropout.next(), out.sizes());
      EXPECT_LT(largest_difference(y, expected), 1e-5);
      expect_equal(s_.gradients_of(y), s_.gradients_of(expected), 1e-5);
      s_.block.ff.wi_1 = gate;
    }
}

TEST_P(SublayersTest, RecomputedActivationsGiveTheSameBits) {
  const auto gradients = [&](bool recompute) {
    layers::Pass pass = pass_with(GetParam(), recompute);
    at::Tensor y = layers::self_attention(s_.x, s_.block, s_.bias, s_.mask, pass);
    y = layers::cross_attention(y, s_.block, {s_.memory, {}, {}}, pass);
    y = layers::feed_forward(y, s_.block, pass);
    return s_.gradients_of(layers::final_norm(y, s_.block.ff_norm, pass));
  };
  const auto kept = gradients(false), recomputed = gradients(true);
  for (std::size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(at::equal(kept[i], recomputed[i])) << "leaf " << i;
}

TEST_P(SublayersTest, AGraphThatIsKeptMayBeUsedTwice) {
  layers::Pass pass = pass_with(GetParam());
  at::Tensor y = layers::self_attention(s_.x, s_.block, s_.bias, s_.mask, pass);
  y = layers::feed_forward(y, s_.block, pass);
  y.sum().backward({}, /*retain_graph=*/true);
  const at::Tensor once = s_.block.ff.wi_0.master().grad().clone();
  y.sum().backward();
  EXPECT_LT(largest_difference(s_.block.ff.wi_0.master().grad(), 2 * once), 1e-4);
}

TEST(HeadTest, LogProbsInChunksAreThoseOfTheWholeLogits) {
  const at::Tensor weight = at::randn({19, 6}).requires_grad_(true), x = at::randn({7, 6}).requires_grad_(true);
  const at::Tensor target = at::tensor({0, 18, 3, 3, 7, 11, 1}, at::kLong), g = at::randn({7});
  const at::Tensor whole = at::log_softmax(0.5 * at::mm(x, weight.t()), -1).gather(1, target.unsqueeze(1)).squeeze(1);
  (whole * g).sum().backward();
  const at::Tensor dx = x.grad().clone(), dw = weight.grad().clone();
  for (const std::int64_t chunk : {1, 3, 7, 100}) {
    x.mutable_grad() = weight.mutable_grad() = at::Tensor();
    const at::Tensor chunked = layers::project_log_probs(x, {weight, weight}, 0.5, target, chunk);
    EXPECT_LT(largest_difference(chunked, whole), 1e-6);
    (chunked * g).sum().backward();
    EXPECT_LT(largest_difference(x.grad(), dx), 1e-6);
    EXPECT_LT(largest_difference(weight.grad(), dw), 1e-6);
  }
}

TEST(EmbeddingTest, TheGradientOfATokenIsTheSumOverItsPlaces) {
  const at::Tensor weight = at::randn({5, 3}).requires_grad_(true), tokens = at::tensor({4, 1, 4, 0}, at::kLong);
  layers::Pass pass;
  const at::Tensor x = layers::embed(tokens, {weight, weight}, pass), g = at::randn({4, 3});
  (x * g).sum().backward();
  const at::Tensor expected = at::zeros({5, 3}).index_add(0, tokens, g);
  EXPECT_LT(largest_difference(weight.grad(), expected), 1e-6);
  const at::Tensor frozen = at::randn({5, 3});
  EXPECT_TRUE(layers::embed(tokens, {frozen, frozen}, pass).requires_grad()) << "adapters above it need a gradient";
}

TEST(Bf16Test, ProductsInBf16StayCloseToFp32) {
  at::set_num_threads(1);
  ModelConfig config = small_config();
  config.d_model = 64, config.d_kv = 16, config.d_ff = 96;
  const auto run = [&](Precision precision) {
    T5 model(config, at::kCPU, precision);
    model.initialize(5);
    at::Tensor gradient = model.parameters().new_flat();
    model.parameters().bind_gradient(gradient);
    const at::Tensor source = at::arange(3, 27, at::kLong).view({3, 8}),
                     input = at::arange(0, 15, at::kLong).view({3, 5});
    const at::Tensor mask = source.ne(0);
    const at::Tensor logits = model.logits(model.decode(input, model.encode(source, mask), mask)).to(at::kFloat);
    at::log_softmax(logits, -1).select(2, 7).mean().backward();
    return std::pair{logits.detach(), gradient};
  };
  const auto [logits, gradient] = run(Precision::kFp32);
  const auto [rough_logits, rough_gradient] = run(Precision::kBf16);
  EXPECT_EQ(gradient.scalar_type(), at::kFloat);
  EXPECT_FALSE(at::equal(logits, rough_logits));
  EXPECT_LT(((rough_logits - logits).norm() / logits.norm()).item<double>(), 0.03);
  EXPECT_LT(((rough_gradient - gradient).norm() / gradient.norm()).item<double>(), 0.05);
}

TEST(Bf16Test, TheCopyFollowsTheWeights) {
  T5 model(small_config(), at::kCPU, Precision::kBf16);
  model.initialize(5);
  const at::Tensor source = at::arange(3, 11, at::kLong).view({1, 8}), mask = source.ne(0);
  const at::NoGradGuard no_grad;
  const at::Tensor before = model.encode(source, mask).clone();
  model.parameters().flat().mul_(1.5);
  EXPECT_FALSE(at::equal(before, model.encode(source, mask)));
}

}  // namespace
}  // namespace plumbline
