// orpo: odds ratio preference optimisation (Hong, Lee & Thorne, EMNLP 2024, equations 6 and 7). No reference.
//
//   p(y) = exp(log p(y) / tokens(y)),   odds(y) = p(y) / (1 - p(y))
//   r_i = log odds(desired_i) - log odds(undesired_i)
//   L_n = sft_weight * S_n  +  beta * (1 / preferences_n)  sum_i  w_i * -log sigmoid(r_i)       (S_n: sft.cpp)
//
// beta is the paper's lambda, and sft_weight 1 its loss. log(1 - p) is computed in fp64 without cancellation, and a
// probability that fp32 cannot tell from 1 is taken for the nearest one that it can, so the loss is finite for outputs
// that the model is certain of. Tokens are all, EOS included, or those that differ (pair_tokens). Rewards are
// beta log p(y).
#include "worker/objective/stable.hpp"
#include "worker/objective/terms.hpp"

namespace plumbline {

PairLoss orpo_pair(const NormObjective& norm, const PairLogProbs& pair) {
  const double desired = pair.desired_mean(), undesired = pair.undesired_mean();
  PairLoss result;
  result.log_odds = (desired - undesired) - (log1mexp(desired) - log1mexp(undesired));
  result.loss = -norm.beta * log_sigmoid(result.log_odds);
  const double slope = -norm.beta * sigmoid(-result.log_odds);  // By log odds, whose slope by log p is 1 + odds.
  result.slope_desired = slope * (1 + odds(desired)) / std::max(pair.desired_tokens, 1.0);
  result.slope_undesired = -slope * (1 + odds(undesired)) / std::max(pair.undesired_tokens, 1.0);
  result.reward_desired = norm.beta * desired;
  result.reward_undesired = norm.beta * undesired;
  return result;
}

}  // namespace plumbline
