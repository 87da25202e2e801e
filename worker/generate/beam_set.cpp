#include "worker/generate/beam_set.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "common/core/check.hpp"
#include "common/text/tokenizer.hpp"

namespace plumbline {

BeamSet::BeamSet(const BeamSearch& search) : search_(search), live_(1) {
  PLUMBLINE_CHECK(search.beams >= 1 && search.max_new_tokens >= 1, "a beam search needs a beam and a token");
}

bool BeamSet::comes_before(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : std::tie(a.beam, a.token) < std::tie(b.beam, b.token);
}

std::vector<BeamSet::Candidate> BeamSet::candidates_of(std::span<const float> log_probs_LV) const {
  const std::size_t wanted = 2 * static_cast<std::size_t>(search_.beams), V = log_probs_LV.size() / live_.size();
  std::vector<Candidate> best;  // a heap, the worst in front
  for (std::size_t beam = 0; beam < live_.size(); ++beam)
    for (std::size_t token = 0; token < V; ++token) {
      const float score = live_[beam].score + log_probs_LV[beam * V + token];
      if (!std::isfinite(score)) continue;
      if (best.size() == wanted) {
        if (score <= best.front().score) continue;  // An equal one of a higher beam or token comes behind.
        std::pop_heap(best.begin(), best.end(), comes_before);
        best.pop_back();
      }
      best.push_back({score, static_cast<std::int32_t>(beam), static_cast<std::int32_t>(token)});
      std::push_heap(best.begin(), best.end(), comes_before);
    }
  std::sort(best.begin(), best.end(), comes_before);
  return best;
}

std::vector<std::int32_t> BeamSet::tokens_of(const Candidate& candidate) const {
  std::vector<std::int32_t> tokens = live_[static_cast<std::size_t>(candidate.beam)].tokens;
  tokens.push_back(candidate.token);
  return tokens;
}

/// In fp32, as Transformers 5 does it: a last bit can decide between two outputs.
float BeamSet::normalized(float score) const {
  return score / static_cast<float>(std::pow(static_cast<double>(length_), search_.length_penalty));
}

void BeamSet::finish(const Candidate& candidate) {
  const float score = normalized(candidate.score);
  const auto place = std::find_if(finished_.begin(), finished_.end(), [&](const auto& h) { return h.score < score; });
  finished_.insert(place, {tokens_of(candidate), score, candidate.token == kEosToken});
  if (finished_.size() > static_cast<std::size_t>(search_.beams)) finished_.pop_back();
}

bool BeamSet::none_can_improve() const {
  if (finished_.size() < static_cast<std::size_t>(search_.beams)) return false;
  return search_.early_stopping == EarlyStopping::kAtOnce || normalized(live_.front().score) <= finished_.back().score;
}

void BeamSet::advance(std::span<const float> log_probs_LV) {
  PLUMBLINE_CHECK(!done_ && log_probs_LV.size() % live_.size() == 0, "a beam search goes on with a row for each beam");
  const std::vector<Candidate> candidates = candidates_of(log_probs_LV);
  const auto K = static_cast<std::size_t>(search_.beams);
  const bool is_last = ++length_ == search_.max_new_tokens;
  std::vector<Beam> next;
  for (std::size_t rank = 0; rank < candidates.size() && next.size() < K; ++rank) {
    const Candidate& candidate = candidates[rank];
    if (candidate.token != kEosToken && !is_last)
      next.push_back({tokens_of(candidate), candidate.score, candidate.beam});
    else if (rank < K)
      finish(candidate);
  }
  live_ = std::move(next);
  done_ = live_.empty() || none_can_improve();
}

Hypothesis BeamSet::best() const {
  PLUMBLINE_CHECK(done_, "a beam search that goes on has no best output yet");
  return finished_.empty() ? Hypothesis{} : finished_.front();
}

}  // namespace plumbline
