#include "worker/generate/beam_set.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int32_t kEos = 1;
constexpr float kNever = -std::numeric_limits<float>::infinity();

BeamSearch search_of(int beams, int max_new_tokens = 10) {
  BeamSearch search;
  search.beams = beams;
  search.max_new_tokens = max_new_tokens;
  return search;
}

std::vector<std::vector<std::int32_t>> tokens_of(const BeamSet& set) {
  std::vector<std::vector<std::int32_t>> all;
  for (const BeamSet::Beam& beam : set.live()) all.push_back(beam.tokens);
  return all;
}

std::vector<std::int64_t> parents_of(const BeamSet& set) {
  std::vector<std::int64_t> all;
  for (const BeamSet::Beam& beam : set.live()) all.push_back(beam.parent);
  return all;
}

/// Tokens 0 to 4, of which 1 is the end.
TEST(BeamSet, KeepsTheBestContinuationsOfAllBeams) {
  BeamSet set(search_of(2));
  ASSERT_EQ(set.live().size(), 1u);
  set.advance(std::vector<float>{-9, -9, -1, -2, -3});
  EXPECT_THAT(tokens_of(set), ElementsAre(ElementsAre(2), ElementsAre(3)));
  set.advance(std::vector<float>{-9, -9, -4, -4, -5,  // -1 - 4: twice -5
                                 -9, -9, -1, -9, -2});
  EXPECT_THAT(tokens_of(set), ElementsAre(ElementsAre(3, 2), ElementsAre(3, 4)));
  EXPECT_THAT(parents_of(set), ElementsAre(1, 1));
  EXPECT_FLOAT_EQ(set.live()[0].score, -3);
  EXPECT_FALSE(set.done());
}

TEST(BeamSet, TheLowerBeamThenTheLowerTokenComesFirstOfEquals) {
  BeamSet set(search_of(3));
  set.advance(std::vector<float>{-1, -9, -1, -1, -1});
  EXPECT_THAT(tokens_of(set), ElementsAre(ElementsAre(0), ElementsAre(2), ElementsAre(3)));
  set.advance(std::vector<float>(15, -1));
  EXPECT_THAT(tokens_of(set), ElementsAre(ElementsAre(0, 0), ElementsAre(0, 2), ElementsAre(0, 3)));
}

TEST(BeamSet, AnEndCountsOnlyAmongTheFirstBeams) {
  BeamSet set(search_of(2));
  set.advance(std::vector<float>{-9, -3, -1, -2, -9});  // The end is third.
  EXPECT_THAT(tokens_of(set), ElementsAre(ElementsAre(2), ElementsAre(3)));
  set.advance(std::vector<float>{-9, -0.5, -1, -9, -9,  // The end is first.
                                 -9, -9, -9, -0.4, -9});
  EXPECT_THAT(tokens_of(set), ElementsAre(ElementsAre(2, 2), ElementsAre(3, 3))) << "two live on beside the end";
  EXPECT_FALSE(set.done()) << "one of two has finished";
  set.advance(std::vector<float>{-9, -0.1, -9, -9, -9,  //
                                 -9, -9, -9, -9, -9});
  ASSERT_TRUE(set.done());
  const Hypothesis best = set.best();
  EXPECT_THAT(best.tokens, ElementsAre(2, 2, kEos));
  EXPECT_FLOAT_EQ(best.score, -2.1f / 3) << "-1.5 / 2 is worse";
  EXPECT_TRUE(best.complete);
}

TEST(BeamSet, TheLengthPenaltySaysWhatLengthCosts) {
  for (const auto& [penalty, tokens] : {std::pair{0.0, 1u}, std::pair{1.0, 2u}}) {
    BeamSearch search = search_of(1);
    search.length_penalty = penalty;
    search.beams = 2;
    BeamSet set(search);
    set.advance(std::vector<float>{-9, -1, -1.1f, -9, -9});
    while (!set.done()) {
      std::vector<float> next(set.live().size() * 5, -9);
      next[kEos] = -0.1f;
      set.advance(next);
    }
    EXPECT_EQ(set.best().tokens.size(), tokens) << "-1 / 1 against -1.2 / 2^" << penalty;
  }
}

TEST(BeamSet, GoesOnWhileALiveBeamMayStillBecomeBetterThanTheWorstThatFinished) {
  for (const EarlyStopping early : {EarlyStopping::kHeuristic, EarlyStopping::kAtOnce}) {
    BeamSearch search = search_of(1);
    search.early_stopping = early;
    search.length_penalty = 2;
    search.beams = 2;
    BeamSet set(search);
    set.advance(std::vector<float>{-9, -1, -1.2f, -1.3f, -9});
    std::vector<float> both_end(10, -9);
    both_end[kEos] = -8, both_end[5 + kEos] = -8;
    both_end[2] = -0.1f, both_end[5 + 2] = -9;
    set.advance(both_end);  // Beams 2 2 (-1.3) and 2 then the end (-9.2): the second end is third.
    ASSERT_EQ(set.done(), early == EarlyStopping::kAtOnce) << "-1.3 / 4 beats -9.2 / 4";
    if (early == EarlyStopping::kAtOnce) {
      EXPECT_THAT(set.best().tokens, ElementsAre(kEos));
    }
  }
}

TEST(BeamSet, AtTheLimitTheBeamsThatLiveAreOutputsToo) {
  BeamSet set(search_of(2, 2));
  set.advance(std::vector<float>{-9, -9, -1, -2, -9});
  ASSERT_FALSE(set.done());
  set.advance(std::vector<float>{-9, -2, -1, -9, -9,  //
                                 -9, -9, -9, -9, -9});
  ASSERT_TRUE(set.done());
  EXPECT_THAT(set.best().tokens, ElementsAre(2, 2));
  EXPECT_FLOAT_EQ(set.best().score, -1);
  EXPECT_FALSE(set.best().complete);
}

TEST(BeamSet, WhatIsNotFiniteIsPassedOver) {
  const float not_a_number = std::numeric_limits<float>::quiet_NaN();
  BeamSet set(search_of(2));
  set.advance(std::vector<float>{not_a_number, kNever, -3, not_a_number, kNever});
  EXPECT_THAT(tokens_of(set), ElementsAre(ElementsAre(2)));
  set.advance(std::vector<float>(5, not_a_number));
  ASSERT_TRUE(set.done());
  EXPECT_THAT(set.best().tokens, IsEmpty());
  EXPECT_FALSE(set.best().complete);
}

/// The log-probs after `prefix`, drawn by its hash: a model without a model.
std::vector<float> drawn(const std::vector<std::int32_t>& prefix, std::uint32_t seed, std::size_t vocabulary) {
  for (const std::int32_t token : prefix) seed = seed * 31 + static_cast<std::uint32_t>(token) + 7;
  std::mt19937 random(seed);
  std::vector<float> logits(vocabulary);
  double sum = 0;
  for (float& logit : logits) {
    logit = static_cast<float>(random() % 4096) / 1024;
    sum += std::exp(logit);
  }
  for (float& logit : logits) logit -= static_cast<float>(std::log(sum));
  return logits;
}

Hypothesis searched(const BeamSearch& search, std::uint32_t seed, std::size_t vocabulary) {
  BeamSet set(search);
  while (!set.done()) {
    std::vector<float> log_probs;
    for (const BeamSet::Beam& beam : set.live())
      for (const float log_prob : drawn(beam.tokens, seed, vocabulary)) log_probs.push_back(log_prob);
    set.advance(log_probs);
  }
  return set.best();
}

/// The best of all outputs there are.
void look_everywhere(const BeamSearch& search, std::uint32_t seed, std::size_t vocabulary,
                     const std::vector<std::int32_t>& prefix, float score, Hypothesis& best) {
  const std::vector<float> log_probs = drawn(prefix, seed, vocabulary);
  for (std::size_t token = 0; token < vocabulary; ++token) {
    std::vector<std::int32_t> tokens = prefix;
    tokens.push_back(static_cast<std::int32_t>(token));
    const float sum = score + log_probs[token];
    if (token != kEos && static_cast<int>(tokens.size()) < search.max_new_tokens) {
      look_everywhere(search, seed, vocabulary, tokens, sum, best);
      continue;
    }
    const auto length = static_cast<double>(tokens.size());
    const float normalized = sum / static_cast<float>(std::pow(length, search.length_penalty));
    if (best.tokens.empty() || normalized > best.score) best = {tokens, normalized, token == kEos};
  }
}

TEST(BeamSet, WithABeamForEveryPrefixItFindsTheBestOutputThereIs) {
  constexpr std::size_t kVocabulary = 4;
  int complete = 0;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    BeamSearch search = search_of(256, 4);  // 4^4 prefixes
    search.length_penalty = seed % 3;
    Hypothesis best;
    look_everywhere(search, seed, kVocabulary, {}, 0, best);
    const Hypothesis found = searched(search, seed, kVocabulary);
    EXPECT_EQ(found.tokens, best.tokens) << seed;
    EXPECT_EQ(found.score, best.score) << seed;
    EXPECT_EQ(found.complete, best.complete) << seed;
    complete += found.complete ? 1 : 0;
  }
  EXPECT_GT(complete, 20);
  EXPECT_LT(complete, 180);
}

TEST(BeamSet, OneBeamIsGreedy) {
  constexpr std::size_t kVocabulary = 6;
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    std::vector<std::int32_t> greedy;
    while (greedy.size() < 12 && (greedy.empty() || greedy.back() != kEos)) {
      const std::vector<float> log_probs = drawn(greedy, seed, kVocabulary);
      const auto largest = std::max_element(log_probs.begin(), log_probs.end());
      greedy.push_back(static_cast<std::int32_t>(largest - log_probs.begin()));
    }
    for (const double penalty : {0.0, 1.0, 2.5}) {
      BeamSearch search = search_of(1, 12);
      search.length_penalty = penalty;
      EXPECT_EQ(searched(search, seed, kVocabulary).tokens, greedy) << seed << " " << penalty;
    }
  }
}

TEST(BeamSet, MoreBeamsThanTokensDoNoHarm) {
  BeamSet set(search_of(8));
  set.advance(std::vector<float>{-2, -9, -1});
  EXPECT_THAT(tokens_of(set), ElementsAre(ElementsAre(2), ElementsAre(0)));
  EXPECT_FALSE(set.done());
}

}  // namespace
}  // namespace plumbline
