// What a model does on held-out examples: its loss by norm, and what it writes. Rows are chosen by the plan and
// computed in fixed batches shared over the ranks, so neither depends on the number of workers. No gradient, no
// dropout. All ranks call these together, from their training thread.
#pragma once
#include <string>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/json.hpp"
#include "common/core/result.hpp"
#include "common/data/dataset.hpp"
#include "common/record/evaluation.hpp"
#include "common/text/tokenizer.hpp"
#include "worker/collective/collective.hpp"
#include "worker/objective/objective.hpp"
#include "worker/row_log_probs.hpp"

namespace plumbline {

struct HeldOut {
  const RunConfig* config = nullptr;
  const Dataset* dataset = nullptr;
  const Tokenizer* tokenizer = nullptr;
  std::vector<NormObjective> norms;
  const RowLogProbs* references = nullptr;  ///< of the held-out split; null when no norm needs them
};

/// The rows that held_out_metrics scores: evaluate.examples a norm.
std::vector<std::int64_t> scored_rows(const HeldOut& held_out);

/// {"NAME": {"loss": …, …}} of the held-out rows, on every rank.
Result<Json> held_out_metrics(const T5& model, const HeldOut& held_out, Collective& collective);

/// The rows that judged_metrics answers: evaluate.judged a norm, none of which evaluate_rows answers.
std::vector<std::int64_t> judged_rows(const HeldOut& held_out);

/// {"NAME": {"undesirable_rate": …, "desired_score": …}} of what the model writes for the judged rows, on every rank;
/// without the score where no row has a desired output, and without a norm that has no such row. Errors: a judge that
/// cannot be made.
Result<Json> judged_metrics(const T5& model, const HeldOut& held_out, Collective& collective);

/// evaluate.generations rows a norm with what the model writes for them (where a norm asks for alignments, also what it
/// writes when it may write nothing else), and up to evaluate.examples a norm with
/// log-probs alone; ascending by row, on every rank.
Result<std::vector<EvaluationRow>> evaluate_rows(const T5& model, const HeldOut& held_out, Collective& collective);

}  // namespace plumbline
