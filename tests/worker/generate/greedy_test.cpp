#include "worker/generate/greedy.hpp"

#include "tests/worker/golden.hpp"

namespace plumbline {
namespace {

class GreedyTest : public testing::TestWithParam<const char*> {
 protected:
  Golden golden_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Models, GreedyTest, testing::Values("gated", "relu"));

TEST_P(GreedyTest, WritesTransformersTokensOneByOne) {
  const at::Tensor& expected = golden_["greedy"];
  const int length = static_cast<int>(expected.size(1));
  const auto outputs = generate_greedy(*golden_.model, golden_["source"], golden_.source_mask(), length);
  ASSERT_EQ(static_cast<std::int64_t>(outputs.size()), expected.size(0));
  for (std::size_t b = 0; b < outputs.size(); ++b) {
    std::vector<std::int32_t> tokens;
    bool complete = false;
    for (int t = 0; t < length && !complete; ++t) {
      tokens.push_back(expected[static_cast<std::int64_t>(b)][t].item<std::int32_t>());
      complete = tokens.back() == 1;
    }
    EXPECT_EQ(outputs[b].tokens, tokens) << "row " << b;
    EXPECT_EQ(outputs[b].complete, complete) << "row " << b;
  }
}

TEST_P(GreedyTest, StopsAtTheLimit) {
  for (const auto& output : generate_greedy(*golden_.model, golden_["source"], golden_.source_mask(), 2))
    EXPECT_LE(output.tokens.size(), 2u);
  for (const auto& output : generate_greedy(*golden_.model, golden_["source"], golden_.source_mask(), 0))
    EXPECT_TRUE(output.tokens.empty());
}

TEST_P(GreedyTest,
       TheCacheGrowsPastItsFirstSize) {  // Longer than the cache's first capacity, against the whole prefix each time.
  const at::NoGradGuard no_grad;
  const at::Tensor source = golden_["source"].narrow(0, 0, 1), mask = source.ne(0);
  const auto cache = golden_.model->start_cache(golden_.model->encode(source, mask), mask);
  const at::Tensor input = at::remainder(at::arange(0, 150, at::kLong) * 7, 90).view({1, 150});
  at::Tensor last;
  for (std::int64_t t = 0; t < 150; ++t) last = golden_.model->step(*cache, input.select(1, t));
  const at::Tensor states = golden_.model->decode(input, golden_.model->encode(source, mask), mask);
  EXPECT_LT(largest_difference(last, golden_.model->logits(states).select(1, 149)), 1e-4);
}

}  // namespace
}  // namespace plumbline
