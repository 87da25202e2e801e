// unlikelihood: tokens of undesired outputs are made improbable, desired outputs probable (Welleck et al., "Neural text
// generation with unlikelihood training", ICLR 2020, equation 4, with the undesired output's tokens as candidates;
// alpha as in their equation 5).
//
//   L_n = alpha * (1 / undesired_tokens_n)  sum_i  w_i * sum_t -log(1 - p(undesired_it | undesired_i<t, source_i))
//         + sft_weight * S_n                                                                   (S_n: sft.cpp)
//
// log(1 - p) is the log-sum-exp over all other tokens, exact also for p near 1. Uses whichever side a row has. In a
// preference, undesired tokens that the desired output shares are not spared: the sft term holds them up.
#include "worker/objective/terms.hpp"

namespace plumbline {

double unlikelihood_coefficient(const NormObjective& norm, const NormTotals& totals, double example_weight) {
  return norm.unlikelihood_alpha * example_weight / static_cast<double>(totals.undesired_tokens);
}

}  // namespace plumbline
