// How far the model has moved from the one that the run started from, for kto: by norm, the mean over a global batch
// (or the held-out rows) of log p(y') - log ref(y'), y' being the output of another example (partners_of in
// common/data/plan.hpp); never below 0. No gradient, no dropout. One thread.
#pragma once
#include <cstdint>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/data/dataset.hpp"
#include "common/data/plan.hpp"
#include "worker/collective/collective.hpp"
#include "worker/objective/objective.hpp"
#include "worker/row_log_probs.hpp"

namespace plumbline {

/// What does not change from batch to batch. `split`, `norms`, `references` and `train` outlive it.
class KlRows {
 public:
  KlRows(const Split& split, const std::vector<NormObjective>& norms, const RowLogProbs* references,
         const TrainConfig& train);
  /// Does a norm train with kto? The same answer on every rank; without it the rest need not be called.
  [[nodiscard]] bool any() const { return any_; }
  /// Adds the rows' sums to `sums`, by norm. Rows of other objectives add nothing. As many rows are computed together
  /// as train.micro_batch_tokens allows.
  void add(const T5& model, const std::vector<std::int64_t>& rows, double* sums) const;
  /// Sums over all rows -> the means, by norm.
  [[nodiscard]] static std::vector<double> means(const double* sums, const std::vector<NormTotals>& totals);

 private:
  void add_together(const T5& model, const std::vector<std::int64_t>& rows, double* sums) const;
  /// Padded tokens of a batch of these rows.
  [[nodiscard]] std::int64_t padded_tokens(const std::vector<std::int64_t>& rows) const;
  const Split& split_;
  const std::vector<NormObjective>& norms_;
  const RowLogProbs* references_;
  const TrainConfig& train_;
  bool any_ = false;
  std::vector<std::int64_t> partners_;
};

/// By norm, over fixed batches shared over the ranks; empty when no norm trains with kto. All ranks together.
Result<std::vector<double>> kl_of_batches(const T5& model, const KlRows& kl,
                                          const std::vector<std::vector<std::int64_t>>& batches,
                                          const std::vector<NormTotals>& totals, Collective& collective);

}  // namespace plumbline
