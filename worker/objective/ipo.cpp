// ipo: identity preference optimisation (Azar et al., AISTATS 2024, equation 17), on log-probs divided by their number
// of tokens (as TRL computes it with the authors), with an added sft term.
//
//   h_i = (log p - log ref)(desired_i) / tokens(desired_i) - (log p - log ref)(undesired_i) / tokens(undesired_i)
//   l_i = (h_i - 1 / (2 beta))^2
//   L_n = (1 / preferences_n)  sum_i  w_i * l_i  +  sft_weight * S_n                            (S_n: sft.cpp)
//
// The margin has a target and does not grow for ever. Tokens and their log-probs are all, EOS included, or those that
// differ (pair_tokens); the reference's alike. The implicit rewards are beta times the two terms of h.
#include "worker/objective/terms.hpp"

namespace plumbline {

PairLoss ipo_pair(const NormObjective& norm, const PairLogProbs& pair) {
  const double n_desired = std::max(pair.desired_tokens, 1.0), n_undesired = std::max(pair.undesired_tokens, 1.0);
  const double desired = (pair.desired - pair.reference_desired) / n_desired;
  const double undesired = (pair.undesired - pair.reference_undesired) / n_undesired;
  const double off = desired - undesired - 1 / (2 * norm.beta);
  PairLoss result;
  result.loss = off * off;
  result.slope_desired = 2 * off / n_desired;
  result.slope_undesired = -2 * off / n_undesired;
  result.reward_desired = norm.beta * desired;
  result.reward_undesired = norm.beta * undesired;
  return result;
}

}  // namespace plumbline
