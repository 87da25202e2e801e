// Beam search over a model with cached keys and values: beam_set.hpp's rules for each source of a batch. A source that
// is done leaves the batch. As everywhere, logits depend on the batch in their last bits, so an output can depend on it
// where two candidates are that close, and nowhere else.
//
// Axes: B rows of the batch, S source tokens, L live beams of all sources, V vocabulary.
#pragma once
#include <vector>

#include "worker/generate/beam_set.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

/// The best output of each row. With one beam it is the greedy output. Memory grows as that of B x beams rows.
std::vector<Hypothesis> generate_beams(const T5& model, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                                       const BeamSearch& search);

}  // namespace plumbline
