// Sums of a step or of an evaluation as the numbers of metrics.jsonl (common/record/metrics.hpp).
#pragma once
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "worker/objective/objective.hpp"
#include "worker/trainer.hpp"

namespace plumbline {

/// Sums as a flat list of numbers, norm by norm: what travels between ranks and is added along the tree.
std::size_t num_slots(std::size_t norms);
void add_to_slots(const std::vector<NormSums>& sums, double* slots);
std::vector<NormSums> from_slots(const double* slots, std::size_t norms);

/// {"NAME": {"loss": …, "nll_loss": …, …}}: a norm without an example, and a number that does not apply, are absent.
Json norm_metrics(const std::vector<std::string>& names, const std::vector<NormObjective>& norms,
                  const std::vector<NormTotals>& totals, const std::vector<NormSums>& sums);

/// The line of a training step.
Json step_metrics(const StepReport& report, const std::vector<std::string>& names,
                  const std::vector<NormObjective>& norms);

/// The loss that trains: the norms' losses, weighted.
double weighted_loss(const std::vector<NormObjective>& norms, const std::vector<NormSums>& sums);

}  // namespace plumbline
