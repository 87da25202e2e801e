// What the objectives of preferences share: the choice of the formula, the count they are divided by, and the logistic
// loss with label smoothing ("conservative DPO", Mitchell 2023, equation 3).
#include "common/core/check.hpp"
#include "worker/objective/stable.hpp"
#include "worker/objective/terms.hpp"

namespace plumbline {

PairLoss pair_loss(const NormObjective& norm, const PairLogProbs& pair) {
  switch (norm.objective) {
    case Objective::kDpo:
      return dpo_pair(norm, pair);
    case Objective::kIpo:
      return ipo_pair(norm, pair);
    case Objective::kOrpo:
      return orpo_pair(norm, pair);
    case Objective::kCpo:
      return cpo_pair(norm, pair);
    case Objective::kSimpo:
      return simpo_pair(norm, pair);
    case Objective::kSft:
    case Objective::kUnlikelihood:
    case Objective::kKto:
      break;
  }
  PLUMBLINE_CHECK(false, "the objective has no loss of pairs");
  return {};
}

double pair_coefficient(const NormTotals& totals, double example_weight) {
  return example_weight / static_cast<double>(totals.preferences);
}

SmoothedLogistic smoothed_logistic(double z, double smoothing) {
  const double e = smoothing;
  return {-(1 - e) * log_sigmoid(z) - e * log_sigmoid(-z), e * sigmoid(z) - (1 - e) * sigmoid(-z)};
}

}  // namespace plumbline
