// dpo: direct preference optimisation (Rafailov et al., NeurIPS 2023, equation 7) with label smoothing e and an added
// sft term; robust dpo; DPO-Positive.
//
//   h_i = (log p(desired_i) - log ref(desired_i)) - (log p(undesired_i) - log ref(undesired_i))
//         - lambda * max(0, log ref(desired_i) - log p(desired_i))
//   sigmoid:  l_i = -(1 - e) log sigmoid(beta h_i) - e log sigmoid(-beta h_i)
//   robust:   l_i = (-(1 - e) log sigmoid(beta h_i) + e log sigmoid(-beta h_i)) / (1 - 2 e)
//   L_n = (1 / preferences_n)  sum_i  w_i * l_i  +  sft_weight * S_n                            (S_n: sft.cpp)
//
// sigmoid with e > 0 is "conservative DPO" (Mitchell 2023, equation 3); robust is unbiased when a share e of the
// preferences is the wrong way round (Chowdhury, Kini & Natarajan, "Provably robust DPO", ICML 2024). lambda > 0 is
// DPO-Positive (Pal et al. 2024, "Smaug"): a margin cannot be bought by making the desired output less likely than it
// was.
//
// log p of an output is the sum over its tokens, EOS included, or over those that differ (pair_tokens); ref is the
// frozen model that the run started from, summed over the same tokens. The implicit rewards are beta (log p - log ref).
// Demonstrations add their sft term only; prohibitions add nothing.
#include "worker/objective/stable.hpp"
#include "worker/objective/terms.hpp"

namespace plumbline {

PairLoss dpo_pair(const NormObjective& norm, const PairLogProbs& pair) {
  PairLoss result;
  result.reward_desired = norm.beta * (pair.desired - pair.reference_desired);
  result.reward_undesired = norm.beta * (pair.undesired - pair.reference_undesired);
  const bool has_fallen = pair.desired < pair.reference_desired;
  const double lambda = has_fallen ? norm.dpo_positive_lambda : 0.0;
  const double z = result.reward_desired - result.reward_undesired + lambda * result.reward_desired;
  const double e = norm.label_smoothing;
  double slope = 0;
  if (norm.dpo_variant == DpoVariant::kRobust) {
    result.loss = (-(1 - e) * log_sigmoid(z) + e * log_sigmoid(-z)) / (1 - 2 * e);
    slope = (-(1 - e) * sigmoid(-z) - e * sigmoid(z)) / (1 - 2 * e);
  } else {
    const SmoothedLogistic logistic = smoothed_logistic(z, e);
    result.loss = logistic.value;
    slope = logistic.slope;
  }
  result.slope_desired = norm.beta * slope * (1 + lambda);
  result.slope_undesired = -norm.beta * slope;
  return result;
}

}  // namespace plumbline
