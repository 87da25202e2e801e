// dpo: direct preference optimisation (Rafailov et al., NeurIPS 2023, equation 7) with label smoothing e ("conservative
// DPO", Mitchell 2023, equation 3) and an added sft term.
//
//   h_i = (log p(desired_i) - log ref(desired_i)) - (log p(undesired_i) - log ref(undesired_i))
//   l_i = -(1 - e) log sigmoid(beta h_i) - e log sigmoid(-beta h_i)
//   L_n = (1 / preferences_n)  sum_i  w_i * l_i  +  sft_weight * S_n                            (S_n: sft.cpp)
//
// log p of an output is the sum over its tokens, EOS included; ref is the frozen model that the run started from. The
// implicit rewards are beta (log p - log ref). Demonstrations add their sft term only; prohibitions add nothing.
#include <cmath>

#include "worker/objective/terms.hpp"

namespace plumbline {

namespace {
/// -log sigmoid(x), without overflow.
double softplus_of_negative(double x) { return x > 0 ? std::log1p(std::exp(-x)) : -x + std::log1p(std::exp(x)); }
double sigmoid(double x) { return x > 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
}  // namespace

DpoPair dpo_pair(const NormObjective& norm, double log_prob_desired, double log_prob_undesired,
                 double reference_desired, double reference_undesired) {
  DpoPair pair;
  pair.reward_desired = norm.beta * (log_prob_desired - reference_desired);
  pair.reward_undesired = norm.beta * (log_prob_undesired - reference_undesired);
  const double z = pair.reward_desired - pair.reward_undesired, e = norm.label_smoothing;
  pair.loss = (1 - e) * softplus_of_negative(z) + e * softplus_of_negative(-z);
  pair.slope = norm.beta * (e * sigmoid(z) - (1 - e) * sigmoid(-z));
  return pair;
}

double dpo_coefficient(const NormTotals& totals, double example_weight) {
  return example_weight / static_cast<double>(totals.preferences);
}

}  // namespace plumbline
