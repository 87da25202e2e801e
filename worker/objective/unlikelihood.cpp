// unlikelihood: undesired outputs are made improbable, desired outputs probable (Welleck et al., "Neural text
// generation with unlikelihood training", ICLR 2020; alpha as in their equation 5).
//
//   token:     u_i = sum_t -log(1 - p(undesired_it | undesired_i<t, source_i)),    C_n = undesired_tokens_n
//   sequence:  u_i = -log(1 - p(undesired_i | source_i)),                          C_n = undesired outputs_n
//   L_n = alpha * (1 / C_n)  sum_i  w_i * u_i  +  sft_weight * S_n                              (S_n: sft.cpp)
//
// token is their equation 4 with each token of the undesired output as the candidate of its place; on outputs that the
// model wrote itself it is what they call sequence-level training. sequence has the output as a whole for its one
// candidate, p being the product over its tokens: an output that is improbable already is left alone. log(1 - p) of a
// token is the log-sum-exp over all other tokens, exact also for p near 1; that of an output is finite as in orpo.cpp.
//
// Uses whichever side a row has. With pair_tokens: differing the sum over t, or the product, of a preference goes over
// the tokens that differ from the desired output's; undesired_tokens_n still counts all, so a token weighs what it
// weighs without the option, and those that both outputs share are spared. A prohibition has all its tokens.
#include "worker/objective/stable.hpp"
#include "worker/objective/terms.hpp"

namespace plumbline {

double unlikelihood_coefficient(const NormObjective& norm, const NormTotals& totals, double example_weight) {
  const auto candidates = norm.unlikelihood_level == UnlikelihoodLevel::kToken
                              ? totals.undesired_tokens
                              : totals.preferences + totals.prohibitions;
  return norm.unlikelihood_alpha * example_weight / static_cast<double>(candidates);
}

SequenceUnlikelihood sequence_unlikelihood(double log_prob) { return {-log1mexp(log_prob), odds(log_prob)}; }

}  // namespace plumbline
