// The choice of one token from its logits: greedy, or drawn after temperature, top-k and top-p (nucleus: Holtzman et
// al. 2020), in that order, as HF Transformers' warpers do it. Pure; the same logits and number give the same token.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace plumbline {

struct Decoding {
  int max_new_tokens = 256;  ///< EOS included
  double temperature = 0;    ///< 0: greedy
  int top_k = 0;             ///< draw among this many likeliest tokens; 0: among all
  double top_p = 1;          ///< … among the fewest likeliest that hold this share of the probability, in (0,1]
  std::uint64_t seed = 1;
};

/// The likeliest of `candidates` (not empty; ids within `logits_V`); the first of equals.
std::int32_t choose_greedy(std::span<const float> logits_V, std::span<const std::int32_t> candidates);
/// One of `candidates`, ascending, drawn by `uniform` in [0,1). Greedy when no distribution can be made of the logits
/// (one is not finite). decoding.temperature > 0.
std::int32_t choose_sampled(std::span<const float> logits_V, std::span<const std::int32_t> candidates,
                            const Decoding& decoding, double uniform);

/// A number in [0,1) that depends on nothing but these: what is drawn for a row is the same in every batch, on every
/// rank. `row` is the caller's key of the row, `position` that of the token in its output.
double uniform_of(std::uint64_t seed, std::uint64_t row, std::uint64_t sample, std::uint64_t position);

}  // namespace plumbline
