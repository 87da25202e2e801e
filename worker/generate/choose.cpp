#include "worker/generate/choose.hpp"

#include <algorithm>
#include <cmath>

#include "common/core/check.hpp"
#include "worker/model/layers.hpp"  // mix

namespace plumbline {

namespace {

struct Candidate {
  std::int32_t token;
  double weight;  ///< its probability times an unknown factor
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
}

double sum_of(const std::vector<Candidate>& candidates) {
  double sum = 0;
  for (const Candidate& c : candidates) sum += c.weight;
  return sum;
}

/// Leaves the likeliest that top_k and top_p allow, in the order of ids: then a draw hardly moves with the logits'
/// noise.
void narrow(std::vector<Candidate>& candidates, const Decoding& decoding) {
  const bool by_number = decoding.top_k > 0 && static_cast<std::size_t>(decoding.top_k) < candidates.size();
  if (!by_number && decoding.top_p >= 1) return;
  std::sort(candidates.begin(), candidates.end(), likelier);
  if (by_number) candidates.resize(static_cast<std::size_t>(decoding.top_k));
  if (decoding.top_p < 1) {
    const double enough = decoding.top_p * sum_of(candidates);
    double held = 0;
    std::size_t kept = 0;
    while (kept < candidates.size() && held < enough) held += candidates[kept++].weight;
    candidates.resize(std::max<std::size_t>(kept, 1));
  }
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.token < b.token; });
}

}  // namespace

std::int32_t choose_greedy(std::span<const float> logits_V, std::span<const std::int32_t> candidates) {
  PLUMBLINE_CHECK(!candidates.empty(), "there is no token to choose from");
  std::int32_t best = candidates[0];
  for (const std::int32_t token : candidates) {
    PLUMBLINE_CHECK(token >= 0 && static_cast<std::size_t>(token) < logits_V.size(),
                    "a candidate is not in the model's vocabulary");
    if (logits_V[static_cast<std::size_t>(token)] > logits_V[static_cast<std::size_t>(best)]) best = token;
  }
  return best;
}

std::int32_t choose_sampled(std::span<const float> logits_V, std::span<const std::int32_t> candidates,
                            const Decoding& decoding, double uniform) {
  PLUMBLINE_CHECK(decoding.temperature > 0 && decoding.top_k >= 0 && decoding.top_p > 0 && decoding.top_p <= 1,
                  "the settings of sampling are out of range");
  const std::int32_t likeliest = choose_greedy(logits_V, candidates);
  const double largest = logits_V[static_cast<std::size_t>(likeliest)];
  std::vector<Candidate> weighted;
  weighted.reserve(candidates.size());
  for (const std::int32_t token : candidates)
    weighted.push_back({token, std::exp((logits_V[static_cast<std::size_t>(token)] - largest) / decoding.temperature)});
  if (!std::isfinite(sum_of(weighted))) return likeliest;
  narrow(weighted, decoding);
  double rest = uniform * sum_of(weighted);
  std::int32_t chosen = likeliest;  // what rounding leaves over at the end
  for (const Candidate& c : weighted) {
    if (rest < c.weight) return c.token;
    rest -= c.weight;
    if (c.weight > 0) chosen = c.token;
  }
  return chosen;
}

double uniform_of(std::uint64_t seed, std::uint64_t row, std::uint64_t sample, std::uint64_t position) {
  using layers::mix;
  const std::uint64_t bits = mix(mix(mix(mix(seed) + row) + sample) + position);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace plumbline
