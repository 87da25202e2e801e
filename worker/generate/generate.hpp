// Generation with cached keys and values, greedy or sampled, free or under a constraint. Finished outputs leave the
// batch. What an output draws is a function of (seed, its row's key, its sample number, the position), so neither the
// order of a batch nor who computes it changes a draw; logits, as everywhere, depend on the batch in their last bits.
//
// Axes: B rows of the batch, S source tokens, O outputs, V vocabulary.
#pragma once
#include <cstdint>
#include <vector>

#include "worker/generate/choose.hpp"
#include "worker/generate/constraint.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

struct Generated {
  std::vector<std::int32_t> tokens;
  bool complete = false;
};  ///< complete: ended by EOS (included)

/// One output to write.
struct OutputKey {
  std::int64_t batch_row = 0;  ///< whose source it answers, in [0, B)
  std::uint64_t row = 0;       ///< the caller's name for that row, the same in whatever batch the row sits
  std::uint64_t sample = 0;    ///< which of the row's outputs this is
};

/// One output for each of `outputs`, in their order, of at most decoding.max_new_tokens tokens. Several outputs of one
/// row share the work of its encoder. `constraint`, when given, counts outputs as `outputs` does.
std::vector<Generated> generate(const T5& model, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                                const Decoding& decoding, const std::vector<OutputKey>& outputs,
                                Constraint* constraint = nullptr);

/// The likeliest token each time, one output a row. Ties go to the lowest id.
std::vector<Generated> generate_greedy(const T5& model, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                                       int max_new_tokens, Constraint* constraint = nullptr);

}  // namespace plumbline
