// One optimizer step, from the plan to the new weights. Needs a collective and no coordinator, so that tests run ranks
// as threads. Every rank calls step() together and holds the same weights after it; the weights are the same bits for
// any number of ranks. Memory is allocated by the first step and does not grow. One thread.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/data/dataset.hpp"
#include "common/data/plan.hpp"
#include "worker/batch/batches_ahead.hpp"
#include "worker/collective/collective.hpp"
#include "worker/gradient/tree_reduce.hpp"
#include "worker/kl.hpp"
#include "worker/objective/objective.hpp"
#include "worker/optimizer/optimizer.hpp"
#include "worker/row_log_probs.hpp"

namespace plumbline {

/// What each norm of the dataset trains with: the dataset's settings, overridden by the configuration's. A usage error
/// when the configuration names a norm that the dataset does not have.
Result<std::vector<NormObjective>> norm_objectives(const RunConfig& config, const DatasetInfo& dataset);

struct PhaseSeconds {
  double data = 0, forward = 0, backward = 0, reduce = 0, optimizer = 0;
};

struct StepReport {
  std::int64_t step = 0;  ///< the number of steps taken, this one included
  double epoch = 0;       ///< epochs of data seen, this step included
  double loss = 0, gradient_norm = 0, learning_rate = 0, seconds = 0;
  std::int64_t source_tokens = 0, output_tokens = 0;
  std::vector<NormTotals> totals;
  std::vector<NormSums> sums;
  PhaseSeconds phases;     ///< of this rank
  double model_flops = 0;  ///< of the global batch: worker/model/flops.hpp; references and kto's first pass not counted
  double peak_flops_per_second = 0;  ///< of all ranks together, as the configuration says; 0: unknown
  [[nodiscard]] double tokens_per_second() const {
    return seconds > 0 ? static_cast<double>(source_tokens + output_tokens) / seconds : 0;
  }
};

class Trainer {
 public:
  /// `dataset` and `references` (null when no norm needs them) outlive the trainer. `shares`: lanes of each rank;
  /// empty: even shares. Fails as Plan::make does.
  static Result<std::unique_ptr<Trainer>> make(const RunConfig& config, const Dataset& dataset,
                                               const RowLogProbs* references, std::unique_ptr<T5> model,
                                               Collective& collective, const LaneShares& shares = {});
  /// The same weights and optimizer in another group of ranks, with other shares of the lanes. `old` is used up.
  static std::unique_ptr<Trainer> regroup(std::unique_ptr<Trainer> old, Collective& collective,
                                          const LaneShares& shares = {});
  /// The step after `taken` earlier ones. A gradient that is not finite is a run error, and the weights stay as they
  /// were.
  Result<StepReport> step(std::int64_t taken);

  [[nodiscard]] LaneRange lanes() const { return lanes_; }  ///< that this rank computes
  [[nodiscard]] T5& model() { return *model_; }
  [[nodiscard]] Optimizer& optimizer() { return *optimizer_; }
  [[nodiscard]] const std::vector<NormObjective>& norms() const { return norms_; }

 private:
  Trainer(const RunConfig& config, const Dataset& dataset, const RowLogProbs* references, std::unique_ptr<T5> model,
          Collective& collective, const LaneShares& shares, std::vector<NormObjective> norms, Plan plan,
          std::unique_ptr<Optimizer> optimizer);
  /// kto's z of the whole batch, before any loss: lanes and ranks are summed along the tree. Every rank takes part,
  /// whatever examples it holds.
  Status compute_kl(const GlobalBatch& batch, PhaseSeconds& phases);
  void compute_lane(const GlobalBatch& batch, int lane, PhaseSeconds& phases);

  RunConfig config_;
  const Dataset& dataset_;
  const RowLogProbs* references_;
  std::unique_ptr<T5> model_;
  std::vector<NormObjective> norms_;
  Plan plan_;
  LaneRange lanes_;
  int ranks_;
  std::unique_ptr<Optimizer> optimizer_;
  BatchesAhead batches_;
  KlRows kl_rows_;
  LaneAccumulator gradients_, sums_, kl_sums_;
  TreeReducer gradient_reducer_, sums_reducer_, kl_reducer_;
  at::Tensor gradient_, sum_, kl_sum_;
  std::vector<double> kl_;  ///< by norm, of the step's batch
};

}  // namespace plumbline
