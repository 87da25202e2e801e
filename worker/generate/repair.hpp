// Repair: an output is kept up to the first token that a constraint refuses, and from there on written anew under the
// constraint. What comes out is valid, and parts from what the model wrote at its first mistake and nowhere before it:
// the comparison of the two holds nothing but the mistake and what followed from it. (Correcting a policy on states
// that it reaches itself is the idea of DAgger: Ross, Gordon & Bagnell, AISTATS 2011; here the constraint is the
// expert.)
#pragma once
#include <vector>

#include "worker/generate/generate.hpp"

namespace plumbline {

/// How many tokens of `written` the constraint takes before it refuses one; all of them when it refuses none.
/// `output` is the constraint's number of the output, which must be at its beginning and has then moved on.
std::size_t accepted_tokens(Constraint& constraint, std::size_t output, const std::vector<std::int32_t>& written,
                            int max_new_tokens);

/// Each of `written` (one for each of `outputs`, in their order) repaired: the tokens that `constraint` takes, then the
/// likeliest ones that it allows, max_new_tokens in all. `constraint` counts outputs as `outputs` does and must be at
/// the beginning of each.
std::vector<Generated> repair(const T5& model, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                              int max_new_tokens, const std::vector<OutputKey>& outputs,
                              const std::vector<Generated>& written, Constraint& constraint);

}  // namespace plumbline
