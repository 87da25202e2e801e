// cpo: contrastive preference optimisation (Xu et al., ICML 2024) with label smoothing e (pair.cpp). No reference.
//
//   h_i = log p(desired_i) - log p(undesired_i)
//   l_i = -(1 - e) log sigmoid(beta h_i) - e log sigmoid(-beta h_i)
//   L_n = (1 / preferences_n)  sum_i  w_i * l_i  +  sft_weight * S_n                            (S_n: sft.cpp)
//
// sft_weight 1 and e 0 are the paper's loss. log p of an output is the sum over its tokens, EOS included, or over those
// that differ (pair_tokens). Rewards are beta log p.
#include "worker/objective/terms.hpp"

namespace plumbline {

PairLoss cpo_pair(const NormObjective& norm, const PairLogProbs& pair) {
  PairLoss result;
  result.reward_desired = norm.beta * pair.desired;
  result.reward_undesired = norm.beta * pair.undesired;
  const auto logistic = smoothed_logistic(result.reward_desired - result.reward_undesired, norm.label_smoothing);
  result.loss = logistic.value;
  result.slope_desired = norm.beta * logistic.slope;
  result.slope_undesired = -norm.beta * logistic.slope;
  return result;
}

}  // namespace plumbline
