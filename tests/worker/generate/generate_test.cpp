#include "worker/generate/generate.hpp"

#include <set>

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

/// Every token of `outputs`, as one list of lists.
std::vector<std::vector<std::int32_t>> tokens_of(const std::vector<Generated>& outputs) {
  std::vector<std::vector<std::int32_t>> all;
  for (const Generated& output : outputs) all.push_back(output.tokens);
  return all;
}

std::vector<OutputKey> samples_of(std::int64_t rows, std::uint64_t samples) {
  std::vector<OutputKey> keys;
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::uint64_t sample = 0; sample < samples; ++sample)
      keys.push_back({row, 100 + static_cast<std::uint64_t>(row), sample});
  return keys;
}

Decoding sampling(double temperature) {
  Decoding decoding;
  decoding.max_new_tokens = 24;
  decoding.temperature = temperature;
  decoding.seed = 5;
  return decoding;
}

TEST_P(GreedyTest, SamplesDifferFromEachOtherAndAreTheSameAgain) {
  const auto keys = samples_of(golden_["source"].size(0), 4);
  const auto once = tokens_of(generate(*golden_.model, golden_["source"], golden_.source_mask(), sampling(1), keys));
  const auto again = tokens_of(generate(*golden_.model, golden_["source"], golden_.source_mask(), sampling(1), keys));
  EXPECT_EQ(once, again);
  EXPECT_GT(std::set(once.begin(), once.end()).size(), once.size() / 2);
  Decoding other_seed = sampling(1);
  other_seed.seed = 6;
  EXPECT_NE(once, tokens_of(generate(*golden_.model, golden_["source"], golden_.source_mask(), other_seed, keys)));
}

TEST_P(GreedyTest, WhatIsSampledForARowDependsNeitherOnItsBatchNorOnTheOrder) {
  const auto keys = samples_of(golden_["source"].size(0), 3);
  const auto together =
      tokens_of(generate(*golden_.model, golden_["source"], golden_.source_mask(), sampling(1), keys));
  const std::vector<OutputKey> reversed(keys.rbegin(), keys.rend());
  auto backwards = tokens_of(generate(*golden_.model, golden_["source"], golden_.source_mask(), sampling(1), reversed));
  std::reverse(backwards.begin(), backwards.end());
  EXPECT_EQ(backwards, together);
  for (std::size_t o = 0; o < keys.size(); ++o) {
    OutputKey alone = keys[o];
    const at::Tensor source = golden_["source"].narrow(0, alone.batch_row, 1);
    alone.batch_row = 0;
    EXPECT_EQ(generate(*golden_.model, source, source.ne(0), sampling(1), {alone})[0].tokens, together[o]) << o;
  }
}

TEST_P(GreedyTest, SamplingFromOneTokenIsGreedy) {
  const auto greedy = tokens_of(generate_greedy(*golden_.model, golden_["source"], golden_.source_mask(), 24));
  Decoding only_the_likeliest = sampling(1), nearly_cold = sampling(1e-6), small_nucleus = sampling(1);
  only_the_likeliest.top_k = 1;
  small_nucleus.top_p = 1e-9;
  const auto keys = samples_of(golden_["source"].size(0), 1);
  for (const Decoding& decoding : {only_the_likeliest, nearly_cold, small_nucleus})
    EXPECT_EQ(tokens_of(generate(*golden_.model, golden_["source"], golden_.source_mask(), decoding, keys)), greedy);
}

TEST_P(GreedyTest, NoOutputsAreWantedAndNoneAreWritten) {
  EXPECT_TRUE(generate(*golden_.model, golden_["source"], golden_.source_mask(), sampling(1), {}).empty());
}

/// A then B in turn, three tokens, then the end; remembers what it was told.
class Alternating final : public Constraint {
 public:
  void allowed(std::size_t output, int budget, std::vector<std::int32_t>& tokens) const override {
    EXPECT_EQ(budget, 24 - static_cast<int>(seen[output].size()));
    tokens.push_back(seen[output].size() == 3 ? 1 : seen[output].size() % 2 == 0 ? 68 : 69);
  }
  void written(std::size_t output, std::int32_t token) override { seen[output].push_back(token); }
  mutable std::map<std::size_t, std::vector<std::int32_t>> seen;
};

TEST_P(GreedyTest, AConstraintHasTheLastWordGreedyOrSampled) {
  const auto keys = samples_of(golden_["source"].size(0), 2);
  for (const double temperature : {0.0, 1.5}) {
    Alternating constraint;
    for (const auto& output :
         generate(*golden_.model, golden_["source"], golden_.source_mask(), sampling(temperature), keys, &constraint)) {
      EXPECT_EQ(output.tokens, (std::vector<std::int32_t>{68, 69, 68, 1}));
      EXPECT_TRUE(output.complete);
    }
    EXPECT_EQ(constraint.seen.size(), keys.size());
  }
}

}  // namespace
}  // namespace plumbline
