// The products of generation: exact sums in one order, whoever computes them, and weights as they are now.
#include "worker/model/packed_weight.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/worker/golden.hpp"
#include "worker/model/cpu_products.hpp"

namespace plumbline {
namespace {

std::vector<const CpuProducts*> all_products() {
  std::vector<const CpuProducts*> all;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(cpu_products("AVX2"));
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    all.push_back(cpu_products("AVX512"));
#endif
  return all;
}

/// x W^T + residual (which may be undefined), the panels one `step` after another.
at::Tensor product(const CpuProducts& products, const at::Tensor& x, const at::Tensor& weight,
                   const at::Tensor& residual, std::int64_t step = 1000) {
  const std::int64_t N = x.size(0), I = x.size(1), O = weight.size(0),
                     P = (O + products.columns - 1) / products.columns;
  const at::Tensor panels = at::empty({P, I, products.columns});
  products.pack(weight.const_data_ptr<float>(), O, I, panels.mutable_data_ptr<float>());
  at::Tensor y = residual.defined() ? residual.clone() : at::full({N, O}, 99.0f);
  for (std::int64_t begin = 0; begin < P; begin += step)
    products.multiply(x.const_data_ptr<float>(), N, I, panels.const_data_ptr<float>(), begin, std::min(P, begin + step),
                      O, residual.defined() ? y.const_data_ptr<float>() : nullptr, y.mutable_data_ptr<float>());
  return y;
}

TEST(CpuProductsTest, AreThoseOfDoublePrecisionForEveryShape) {
  at::manual_seed(1);
  for (const CpuProducts* products : all_products())
    for (const std::int64_t N : {1, 2, 3, 5, 8, 13})
      for (const auto& [I, O] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {7, 64}, {33, 65}, {48, 130}}) {
        const at::Tensor x = at::randn({N, I}), weight = at::randn({O, I}), residual = at::randn({N, O});
        const at::Tensor expected = at::mm(x.to(at::kDouble), weight.to(at::kDouble).t());
        EXPECT_LT(largest_difference(product(*products, x, weight, {}), expected), 1e-5) << N << " " << I << " " << O;
        EXPECT_LT(largest_difference(product(*products, x, weight, residual), expected + residual), 1e-5);
      }
}

TEST(CpuProductsTest, ARowsBitsHangOnNeitherOtherRowsNorThreadsNorTheInstructionSet) {
  at::manual_seed(2);
  const at::Tensor x = at::randn({11, 70}), weight = at::randn({200, 70});
  std::vector<at::Tensor> by_set;
  for (const CpuProducts* products : all_products()) {
    const at::Tensor whole = by_set.emplace_back(product(*products, x, weight, {}));
    EXPECT_TRUE(at::equal(product(*products, x, weight, {}, 1), whole)) << "a panel at a time";
    for (std::int64_t row = 0; row < x.size(0); ++row)
      EXPECT_TRUE(at::equal(product(*products, x[row].unsqueeze(0), weight, {}), whole[row].unsqueeze(0))) << row;
  }
  for (const at::Tensor& y : by_set) EXPECT_TRUE(at::equal(y, by_set.front()));
}

TEST(CpuProductsTest, AnUnknownProcessorHasNone) { EXPECT_EQ(cpu_products("DEFAULT"), nullptr); }

/// Logits of three steps, with so many threads for them and the source.
at::Tensor logits_of_steps(const Golden& golden, int threads = 1) {
  const at::NoGradGuard no_grad;
  const at::Tensor mask = golden.source_mask(), input = shift_right(golden["desired"]);
  const auto cache = golden.model->start_cache(golden.model->read(golden["source"], mask), mask);
  std::vector<at::Tensor> logits;
  at::set_num_threads(threads);
  for (std::int64_t t = 0; t < 3; ++t) logits.push_back(golden.model->step(*cache, input.select(1, t)));
  at::set_num_threads(1);
  return at::stack(logits);
}

TEST(PackedModelTest, AreKeptWhileHeldAndMadeAnewWhenTheModelsChange) {
  const Golden golden("gated");
  const auto held = golden.model->packed();
  EXPECT_EQ(golden.model->packed(), held);
  const at::Tensor before = logits_of_steps(golden);
  {
    const at::NoGradGuard no_grad;
    golden.model->parameters().flat().mul_(1.25);
  }
  EXPECT_NE(golden.model->packed(), held);
  const at::Tensor after = logits_of_steps(golden);
  EXPECT_GT(largest_difference(after, before), 0.01) << "the weights of now, though the old ones are still held";
}

TEST(PackedModelTest, AStepsBitsDoNotHangOnTheNumberOfThreads) {
  const Golden golden("relu");
  at::set_num_threads(1);
  EXPECT_TRUE(at::equal(logits_of_steps(golden), logits_of_steps(golden, 3)));
}

TEST(PackedModelTest, HoldAnAdapterMerged) {
  LoraConfig lora;
  lora.rank = 2, lora.targets = lora_target_names();
  Golden golden("gated");
  lora.targets.erase(std::remove(lora.targets.begin(), lora.targets.end(), "wi"), lora.targets.end());
  golden.model->add_adapter(lora);
  golden.model->adapter()->initialize(3);
  const at::Tensor without = logits_of_steps(golden);
  {
    const at::NoGradGuard no_grad;
    at::Tensor& flat = golden.model->trained().flat();
    flat.add_(at::arange(flat.numel()).cos().mul_(0.1));
  }
  const at::NoGradGuard no_grad;
  const at::Tensor mask = golden.source_mask(), input = shift_right(golden["desired"]);
  const at::Tensor whole =
      golden.model->logits(golden.model->decode(input, golden.model->encode(golden["source"], mask), mask));
  const at::Tensor steps = logits_of_steps(golden);
  EXPECT_GT(largest_difference(steps, without), 0.01);
  EXPECT_LT(largest_difference(steps, whole.narrow(1, 0, 3).transpose(0, 1)), 5e-5 * whole.abs().max().item<double>());
}

}  // namespace
}  // namespace plumbline
