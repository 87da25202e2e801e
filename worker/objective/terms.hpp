// The objectives' formulas, each on its own page (sft.cpp, unlikelihood.cpp, dpo.cpp). Room-internal. Pure: numbers of
// rows in, coefficients and gradients out; compute_objective assembles them.
#pragma once
#include <vector>

#include "worker/objective/objective.hpp"

namespace plumbline {

/// What one row adds to L_n is linear in its log-prob or its unlikelihood, and this is the factor.
double sft_coefficient(const NormObjective& norm, const NormTotals& totals, double example_weight);
double unlikelihood_coefficient(const NormObjective& norm, const NormTotals& totals, double example_weight);

/// One preference under dpo.
struct DpoPair {
  double loss = 0;   ///< l_i
  double slope = 0;  ///< d l_i / d log p(desired); that of log p(undesired) is its negative
  double reward_desired = 0, reward_undesired = 0;
};
DpoPair dpo_pair(const NormObjective& norm, double log_prob_desired, double log_prob_undesired,
                 double reference_desired, double reference_undesired);
/// 1 / preferences_n, times the example's weight.
double dpo_coefficient(const NormTotals& totals, double example_weight);

}  // namespace plumbline
