// From the scores of a micro-batch's rows to its loss. Every objective's gradient with respect to a row's log-prob is
// known in closed form once the forward pass is done, so the loss that backward() sees is a weighted sum of row scores
// whose value is set to the objective's: loss = value + sum_r coefficient_r * (score_r - score_r's value).
// Room-internal.
#pragma once
#include <vector>

#include "worker/objective/objective.hpp"
#include "worker/objective/outputs.hpp"

namespace plumbline {

/// The rows that the norms' objectives use, with the tokens that each is compared by.
UsedRows rows_used(const Batch& batch, const std::vector<NormObjective>& norms);
/// Does one of them need the unlikelihoods of tokens?
Unlikelihood unlikelihood_used(const Batch& batch, const UsedRows& used, const std::vector<NormObjective>& norms);

ObjectiveResult assemble_objective(const ScoredOutputs& scored, const Batch& batch, const UsedRows& used,
                                   const std::vector<NormObjective>& norms, const std::vector<NormTotals>& totals,
                                   const ReferenceLogProbs* reference, const std::vector<double>& kl = {});

}  // namespace plumbline
