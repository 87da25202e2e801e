// simpo: simple preference optimisation (Meng, Xia & Chen, NeurIPS 2024, equation 6) with an added sft term and label
// smoothing e (pair.cpp). No reference.
//
//   h_i = log p(desired_i) / tokens(desired_i) - log p(undesired_i) / tokens(undesired_i)
//   z_i = beta h_i - gamma
//   l_i = -(1 - e) log sigmoid(z_i) - e log sigmoid(-z_i)
//   L_n = (1 / preferences_n)  sum_i  w_i * l_i  +  sft_weight * S_n                            (S_n: sft.cpp)
//
// sft_weight 0 and e 0 are the paper's loss. Tokens and their log-probs are all, EOS included, or those that differ
// (pair_tokens). Rewards are beta log p / tokens.
#include "worker/objective/terms.hpp"

namespace plumbline {

PairLoss simpo_pair(const NormObjective& norm, const PairLogProbs& pair) {
  PairLoss result;
  result.reward_desired = norm.beta * pair.desired_mean();
  result.reward_undesired = norm.beta * pair.undesired_mean();
  const auto logistic =
      smoothed_logistic(result.reward_desired - result.reward_undesired - norm.simpo_gamma, norm.label_smoothing);
  result.loss = logistic.value;
  result.slope_desired = norm.beta * logistic.slope / std::max(pair.desired_tokens, 1.0);
  result.slope_undesired = -norm.beta * logistic.slope / std::max(pair.undesired_tokens, 1.0);
  return result;
}

}  // namespace plumbline
