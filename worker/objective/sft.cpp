// sft: supervised fine-tuning on desired outputs (maximum likelihood; Sutskever, Vinyals & Le, NeurIPS 2014).
//
//   S_n = (1 / desired_tokens_n)  sum_i  w_i * sum_t -log p(desired_it | desired_i<t, source_i)
//
// Uses the desired side of demonstrations and preferences; prohibitions add nothing. The same term, times sft_weight,
// is the anchor of the other objectives.
#include "worker/objective/terms.hpp"

namespace plumbline {

double sft_coefficient(const NormObjective& norm, const NormTotals& totals, double example_weight) {
  const double share = norm.objective == Objective::kSft ? 1.0 : norm.sft_weight;
  return share * example_weight / static_cast<double>(totals.desired_tokens);
}

}  // namespace plumbline
