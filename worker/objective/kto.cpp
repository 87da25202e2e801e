// kto: Kahneman-Tversky optimisation (Ethayarajh et al., ICML 2024, equation 7), with an added sft term. Desired and
// undesired outputs need not come in pairs.
//
//   r(y) = log p(y | source) - log ref(y | source)
//   z_n = max(0, mean over the norm's examples of the global batch of r(y'))
//   desired:    l = desired_weight   * (1 - sigmoid(beta (r(y) - z_n)))
//   undesired:  l = undesired_weight * (1 - sigmoid(beta (z_n - r(y))))
//   L_n = (1 / outputs_n)  sum over outputs of  w_i * l  +  sft_weight * S_n                    (S_n: sft.cpp)
//
// y' is another example's output, pinned by the dataset (partners_of in common/data/plan.hpp), and z_n an estimate of
// how far the model has moved from the reference at large; no gradient goes through it. It is a mean over the whole
// global batch, so it is summed over lanes and ranks along the tree before any loss is computed (worker/kl.hpp),
// without dropout. A preference gives one desired and one undesired output; outputs_n counts both. log p is the sum
// over an output's tokens, EOS included. Rewards are beta r(y).
#include "worker/objective/stable.hpp"
#include "worker/objective/terms.hpp"

namespace plumbline {

OutputLoss kto_output(const NormObjective& norm, bool is_desired, double log_prob, double reference, double kl) {
  const double r = log_prob - reference, sign = is_desired ? 1 : -1;
  const double weight = is_desired ? norm.kto_desired_weight : norm.kto_undesired_weight;
  const double above = sign * norm.beta * (r - kl);
  OutputLoss result;
  result.loss = weight * sigmoid(-above);
  result.slope = -sign * norm.beta * weight * sigmoid(above) * sigmoid(-above);
  result.reward = norm.beta * r;
  return result;
}

double kto_coefficient(const NormTotals& totals, double example_weight) {
  return example_weight / static_cast<double>(totals.demonstrations + totals.prohibitions + 2 * totals.preferences);
}

}  // namespace plumbline
