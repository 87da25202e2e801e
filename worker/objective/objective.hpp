// Objectives: what one micro-batch adds to the loss of its global batch. Each objective is a page of its own (sft.cpp,
// unlikelihood.cpp, dpo.cpp, …) with the formula and its paper on top. Everything is normalised by counts over the
// global batch (NormTotals), which the plan knows before any compute, so cutting a batch differently cannot change the
// loss.
//
// The loss of a global batch is  sum over norms n of  weight_n * L_n,  and L_n by the norm's objective, w_i being an
// example's weight and sums over tokens including EOS:
//   sft           S_n = sum over desired outputs of  w_i * -log p(desired_i | source_i)  /  desired_tokens_n
//   unlikelihood  alpha * sum over undesired outputs of  w_i * u_i  /  undesired_tokens_n  +  sft_weight * S_n
//                                                                              (u_i, other count: unlikelihood.cpp)
//   kto           sum over outputs of  w_i * l_i  /  outputs_n  +  sft_weight * S_n              (l_i: kto.cpp)
//   others        sum over preferences of  w_i * l_i  /  preferences_n  +  sft_weight * S_n      (l_i: dpo.cpp,
//   ipo.cpp,
//                                                                                    orpo.cpp, cpo.cpp, simpo.cpp)
//
// Which outputs an objective uses: common/data/used_sides.hpp. A side that is not used is not computed. A row that is
// not used adds nothing, to the loss or to the sums.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/data/plan.hpp"
#include "common/data/used_sides.hpp"
#include "worker/batch/batch.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

enum class PairTokens { kAll, kDiffering };
enum class DpoVariant { kSigmoid, kRobust };
enum class UnlikelihoodLevel { kToken, kSequence };

/// A norm's training settings after config and dataset are merged.
struct NormObjective {
  Objective objective;
  double weight, beta, label_smoothing, sft_weight, unlikelihood_alpha;
  PairTokens pair_tokens = PairTokens::kAll;
  DpoVariant dpo_variant = DpoVariant::kSigmoid;
  double dpo_positive_lambda = 0;
  double simpo_gamma = 0;
  double kto_desired_weight = 1, kto_undesired_weight = 1;
  UnlikelihoodLevel unlikelihood_level = UnlikelihoodLevel::kToken;
};

/// Does it compare with the model that the run started from? Then ReferenceLogProbs are needed of its preferences, and
/// under kto of all its outputs.
bool needs_reference(Objective objective);

/// Frozen reference model's summed log-probs of a micro-batch's outputs, in the order of OutputTensors rows: over all
/// tokens, and over those that differ (worker/batch/differing.hpp).
struct ReferenceLogProbs {
  std::vector<float> desired, undesired;
  std::vector<float> desired_differing, undesired_differing;
};

/// Sums (not means) of one micro-batch for one norm; added over micro-batches, lanes and ranks along the tree, then
/// divided by the totals. fp64. Example weights enter `loss` only.
struct NormSums {
  double loss = 0;         ///< already divided by the global counts; norm weight not applied
  double nll_desired = 0;  ///< sum over tokens of desired outputs
  /// Sums over preference rows of which both sides are computed (all objectives but sft), of whole outputs; under kto
  /// over all desired and all undesired outputs, and so the rewards.
  double log_prob_desired = 0, log_prob_undesired = 0;
  double reward_desired = 0, reward_undesired = 0;  ///< preference rows, as the objective's page defines them
  double correct = 0;  ///< preference rows with reward_desired > reward_undesired (ties count half); unlikelihood,
                       ///< which has no reward, compares log-probs; sft computes one side and leaves it 0, kto too
  double log_odds = 0, log_sigmoid_odds = 0;  ///< orpo: the log odds ratio, and log sigmoid of it; preference rows
  double kl = 0;                              ///< kto: of each output the norm's z
  static constexpr int kFields = 10;
};

struct ObjectiveResult {
  at::Tensor loss;             ///< scalar with gradient: what backward() is called on (norm weights applied); fp64
  std::vector<NormSums> sums;  ///< by norm
};

/// Forward pass of one micro-batch: the encoder runs once a source, the decoder once for desired and undesired together
/// (rows concatenated). `reference` may be null when no norm of the batch needs it. `kl`: by norm, kto's z
/// (worker/kl.hpp); may be empty when no norm trains with kto.
ObjectiveResult compute_objective(const T5& model, const Batch& batch, const std::vector<NormObjective>& norms,
                                  const std::vector<NormTotals>& totals, const ReferenceLogProbs* reference,
                                  std::optional<DropoutKey> dropout, const std::vector<double>& kl = {});

/// Summed log-probs (EOS included) of desired and undesired outputs under `model`, no gradient, no dropout.
ReferenceLogProbs score(const T5& model, const Batch& batch);

}  // namespace plumbline
