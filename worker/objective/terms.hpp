// The objectives' formulas, each on its own page (sft.cpp, unlikelihood.cpp, dpo.cpp, ipo.cpp, orpo.cpp, cpo.cpp,
// simpo.cpp, kto.cpp). Room-internal. Pure: numbers of rows in, coefficients and gradients out; assembly.cpp puts them
// together.
#pragma once
#include <algorithm>

#include "worker/objective/objective.hpp"

namespace plumbline {

/// What one row adds to L_n is linear in its log-prob or its unlikelihood, and this is the factor.
double sft_coefficient(const NormObjective& norm, const NormTotals& totals, double example_weight);
double unlikelihood_coefficient(const NormObjective& norm, const NormTotals& totals, double example_weight);

/// -log(1 - p) of an output as a whole, and its slope by log p.
struct SequenceUnlikelihood {
  double value = 0, slope = 0;
};
SequenceUnlikelihood sequence_unlikelihood(double log_prob);

/// One preference: sums of log-probs over the tokens that are compared, and how many those are.
struct PairLogProbs {
  double desired = 0, undesired = 0;
  double reference_desired = 0, reference_undesired = 0;  ///< objectives that compare with a reference
  double desired_tokens = 0, undesired_tokens = 0;
  /// Averages; 0 of no tokens.
  [[nodiscard]] double desired_mean() const { return desired / std::max(desired_tokens, 1.0); }
  [[nodiscard]] double undesired_mean() const { return undesired / std::max(undesired_tokens, 1.0); }
};
/// Its loss before the example's weight, with the slopes by the two sums of log-probs.
struct PairLoss {
  double loss = 0, slope_desired = 0, slope_undesired = 0;
  double reward_desired = 0, reward_undesired = 0;
  double log_odds = 0;  ///< orpo
};
PairLoss pair_loss(const NormObjective& norm, const PairLogProbs& pair);
PairLoss dpo_pair(const NormObjective& norm, const PairLogProbs& pair);
PairLoss ipo_pair(const NormObjective& norm, const PairLogProbs& pair);
PairLoss orpo_pair(const NormObjective& norm, const PairLogProbs& pair);
PairLoss cpo_pair(const NormObjective& norm, const PairLogProbs& pair);
PairLoss simpo_pair(const NormObjective& norm, const PairLogProbs& pair);
/// What a pair's loss is multiplied by: 1 / preferences_n, times the example's weight.
double pair_coefficient(const NormTotals& totals, double example_weight);

/// One output under kto, before the example's weight, with the slope by its log-prob.
struct OutputLoss {
  double loss = 0, slope = 0, reward = 0;
};
OutputLoss kto_output(const NormObjective& norm, bool is_desired, double log_prob, double reference, double kl);
/// What an output's loss is multiplied by: 1 / outputs_n, times the example's weight.
double kto_coefficient(const NormTotals& totals, double example_weight);

/// -(1 - e) log sigmoid(z) - e log sigmoid(-z), and its slope by z.
struct SmoothedLogistic {
  double value = 0, slope = 0;
};
SmoothedLogistic smoothed_logistic(double z, double smoothing);

}  // namespace plumbline
