#include "worker/generate/beam.hpp"

#include <numeric>

#include "common/text/tokenizer.hpp"

namespace plumbline {

namespace {

/// The beams that live on: for each its row before, and its newest token.
struct NextRows {
  std::vector<std::int64_t> parents, tokens;
  std::vector<std::size_t> sources;  ///< those that are not done, in order
};

/// Moves every live source on. log_probs_LV holds their beams one after another.
NextRows advance(std::vector<BeamSet>& sets, const std::vector<std::size_t>& sources, const at::Tensor& log_probs_LV) {
  NextRows next;
  const auto V = static_cast<std::size_t>(log_probs_LV.size(1));
  const std::span<const float> all(log_probs_LV.const_data_ptr<float>(),
                                   static_cast<std::size_t>(log_probs_LV.numel()));
  std::size_t first = 0;  // row of the source's first beam
  for (const std::size_t source : sources) {
    BeamSet& set = sets[source];
    const std::size_t beams = set.live().size();
    set.advance(all.subspan(first * V, beams * V));
    if (!set.done()) {
      next.sources.push_back(source);
      for (const BeamSet::Beam& beam : set.live()) {
        next.parents.push_back(static_cast<std::int64_t>(first) + beam.parent);
        next.tokens.push_back(beam.tokens.back());
      }
    }
    first += beams;
  }
  return next;
}

}  // namespace

std::vector<Hypothesis> generate_beams(const T5& model, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                                       const BeamSearch& search) {
  const at::NoGradGuard no_grad;
  const auto B = static_cast<std::size_t>(source_BS.size(0));
  if (B == 0 || search.max_new_tokens <= 0) return std::vector<Hypothesis>(B);
  const at::Device device = source_BS.device();
  std::vector<BeamSet> sets(B, BeamSet(search));
  std::vector<std::size_t> sources(B);
  std::iota(sources.begin(), sources.end(), 0);
  auto cache = model.start_cache(model.read(source_BS, source_mask_BS), source_mask_BS);
  at::Tensor token_L = at::full({source_BS.size(0)}, kPadToken, source_BS.options());
  for (;;) {
    const at::Tensor log_probs_LV = at::log_softmax(model.step(*cache, token_L), -1).to(at::kCPU).contiguous();
    NextRows next = advance(sets, sources, log_probs_LV);
    if (next.sources.empty()) break;
    model.keep_rows(*cache, at::tensor(next.parents, at::kLong).to(device));
    token_L = at::tensor(next.tokens, at::kLong).to(device);
    sources = std::move(next.sources);
  }
  std::vector<Hypothesis> best;
  for (const BeamSet& set : sets) best.push_back(set.best());
  return best;
}

}  // namespace plumbline
