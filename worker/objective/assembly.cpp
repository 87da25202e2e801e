#include "worker/objective/assembly.hpp"

#include "common/core/check.hpp"
#include "worker/objective/stable.hpp"
#include "worker/objective/terms.hpp"

namespace plumbline {

namespace {

std::size_t row_of(const OutputTensors& outputs, std::int64_t r) {
  return static_cast<std::size_t>(outputs.batch_row[static_cast<std::size_t>(r)]);
}

/// Row scores on the host, and the factors with which they enter the loss.
class Assembly {
 public:
  Assembly(const Batch& batch, const std::vector<NormObjective>& norms, const std::vector<NormTotals>& totals,
           const UsedRows& used, const ReferenceLogProbs* reference, const std::vector<double>& kl)
      : batch_(batch),
        norms_(norms),
        totals_(totals),
        used_(used),
        reference_(reference),
        kl_(kl),
        sums(norms.size()),
        log_prob_factor(used.rows(), 0.0),
        compared_factor(log_prob_factor),
        unlikely_factor(log_prob_factor) {}

  /// Values by output row, on the host; `unlikely` may be null when no row needs it.
  void add(const double* log_prob, const double* compared, const double* unlikely) {
    log_prob_ = log_prob;
    compared_ = compared;
    desired_of_row_.assign(batch_.norm.size(), kNone);
    for (std::size_t i = 0; i < used_.desired.size(); ++i) add_desired(i);
    const std::size_t first = used_.desired.size();
    for (std::size_t i = 0; i < used_.undesired.size(); ++i) {
      const std::size_t b = row_of(batch_.undesired, used_.undesired[i]), n = batch_.norm[b];
      if (norms_[n].objective == Objective::kUnlikelihood) add_unlikelihood(b, first + i, unlikely);
      if (norms_[n].objective == Objective::kKto)
        add_kto(b, Side::kUndesired, first + i, static_cast<std::size_t>(used_.undesired[i]));
      else if (batch_.kind[b] == ExampleKind::kPreference)
        add_preference(b, desired_of_row_[b], i);
    }
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  void add_desired(std::size_t i) {
    const std::size_t b = row_of(batch_.desired, used_.desired[i]), n = batch_.norm[b];
    desired_of_row_[b] = i;
    const double factor = sft_coefficient(norms_[n], totals_[n], batch_.weight[b]);
    sums[n].nll_desired -= log_prob_[i];
    sums[n].loss -= factor * log_prob_[i];
    log_prob_factor[i] -= norms_[n].weight * factor;
    if (norms_[n].objective == Objective::kKto)
      add_kto(b, Side::kDesired, i, static_cast<std::size_t>(used_.desired[i]));
  }

  /// `r`: the output's place among the used rows, `at` among its side's.
  void add_kto(std::size_t b, Side side, std::size_t r, std::size_t at) {
    PLUMBLINE_CHECK(reference_ != nullptr && !kl_.empty(), "kto needs the reference's log-probs and z");
    const std::size_t n = batch_.norm[b];
    const bool is_desired = side == Side::kDesired;
    const double reference = (is_desired ? reference_->desired : reference_->undesired).at(at);
    const OutputLoss output = kto_output(norms_[n], is_desired, log_prob_[r], reference, kl_.at(n));
    const double factor = kto_coefficient(totals_[n], batch_.weight[b]);
    sums[n].loss += factor * output.loss;
    compared_factor[r] += norms_[n].weight * factor * output.slope;
    (is_desired ? sums[n].log_prob_desired : sums[n].log_prob_undesired) += log_prob_[r];
    (is_desired ? sums[n].reward_desired : sums[n].reward_undesired) += output.reward;
    sums[n].kl += kl_[n];
  }

  void add_unlikelihood(std::size_t b, std::size_t r, const double* unlikely) {
    const std::size_t n = batch_.norm[b];
    const double factor = unlikelihood_coefficient(norms_[n], totals_[n], batch_.weight[b]);
    if (norms_[n].unlikelihood_level == UnlikelihoodLevel::kToken) {
      sums[n].loss += factor * unlikely[r];
      unlikely_factor[r] += norms_[n].weight * factor;
    } else {
      const SequenceUnlikelihood whole = sequence_unlikelihood(compared_[r]);
      sums[n].loss += factor * whole.value;
      compared_factor[r] += norms_[n].weight * factor * whole.slope;
    }
  }

  /// `d` and `u`: the pair's places among the used desired and the used undesired rows.
  void add_preference(std::size_t b, std::size_t d, std::size_t u) {
    PLUMBLINE_CHECK(d != kNone, "a preference has no desired output");
    const std::size_t n = batch_.norm[b], r = used_.desired.size() + u;
    sums[n].log_prob_desired += log_prob_[d];
    sums[n].log_prob_undesired += log_prob_[r];
    double better = compared_[d], worse = compared_[r];
    if (compares_pairs(norms_[n].objective)) {
      const PairLoss pair = pair_loss(norms_[n], pair_log_probs(norms_[n], d, u));
      const double factor = pair_coefficient(totals_[n], batch_.weight[b]);
      sums[n].loss += factor * pair.loss;
      compared_factor[d] += norms_[n].weight * factor * pair.slope_desired;
      compared_factor[r] += norms_[n].weight * factor * pair.slope_undesired;
      sums[n].reward_desired += better = pair.reward_desired;
      sums[n].reward_undesired += worse = pair.reward_undesired;
      if (norms_[n].objective == Objective::kOrpo) {
        sums[n].log_odds += pair.log_odds;
        sums[n].log_sigmoid_odds += log_sigmoid(pair.log_odds);
      }
    }
    sums[n].correct += better > worse ? 1.0 : better == worse ? 0.5 : 0.0;
  }

  [[nodiscard]] PairLogProbs pair_log_probs(const NormObjective& norm, std::size_t d, std::size_t u) const {
    const auto desired = static_cast<std::size_t>(used_.desired[d]),
               undesired = static_cast<std::size_t>(used_.undesired[u]);
    const bool differing = norm.pair_tokens == PairTokens::kDiffering;
    PairLogProbs pair;
    pair.desired = compared_[d];
    pair.undesired = compared_[used_.desired.size() + u];
    const auto tokens = [&](const OutputTensors& outputs, std::size_t r) {
      return static_cast<double>(differing ? outputs.differing.at(r).size() : outputs.length.at(r));
    };
    pair.desired_tokens = tokens(batch_.desired, desired);
    pair.undesired_tokens = tokens(batch_.undesired, undesired);
    if (needs_reference(norm.objective)) {
      PLUMBLINE_CHECK(reference_ != nullptr, "the objective needs the reference model's log-probs");
      pair.reference_desired = (differing ? reference_->desired_differing : reference_->desired).at(desired);
      pair.reference_undesired = (differing ? reference_->undesired_differing : reference_->undesired).at(undesired);
    }
    return pair;
  }

  const Batch& batch_;
  const std::vector<NormObjective>& norms_;
  const std::vector<NormTotals>& totals_;
  const UsedRows& used_;
  const ReferenceLogProbs* reference_;
  const std::vector<double>& kl_;
  const double *log_prob_ = nullptr, *compared_ = nullptr;
  std::vector<std::size_t> desired_of_row_;  ///< by batch row: its index among the used desired rows

 public:
  std::vector<NormSums> sums;
  std::vector<double> log_prob_factor, compared_factor, unlikely_factor;  ///< by output row
};

at::Tensor weighted(const at::Tensor& score_R, const std::vector<double>& factors) {
  return (score_R * at::tensor(factors, at::kDouble).to(score_R.device())).sum();
}

}  // namespace

UsedRows rows_used(const Batch& batch, const std::vector<NormObjective>& norms) {
  UsedRows used;
  bool all_tokens = true;
  for (const Side side : {Side::kDesired, Side::kUndesired}) {
    const OutputTensors& outputs = side == Side::kDesired ? batch.desired : batch.undesired;
    for (std::int64_t r = 0; r < outputs.rows(); ++r) {
      const std::size_t b = row_of(outputs, r);
      PLUMBLINE_CHECK(b < batch.norm.size() && batch.norm[b] < norms.size(),
                      "a batch row names a norm that the run does not have");
      const NormObjective& norm = norms[batch.norm[b]];
      if (!is_used(norm.objective, batch.kind[b], side)) continue;
      (side == Side::kDesired ? used.desired : used.undesired).push_back(r);
      const bool differing = norm.pair_tokens == PairTokens::kDiffering && norm.objective != Objective::kSft &&
                             norm.objective != Objective::kKto;
      const auto at = static_cast<std::size_t>(r);
      used.compared.push_back(differing ? outputs.differing.at(at) : TokenSpan{0, outputs.length.at(at)});
      all_tokens &= used.compared.back().size() == outputs.length.at(at);
    }
  }
  if (all_tokens) used.compared.clear();
  return used;
}

Unlikelihood unlikelihood_used(const Batch& batch, const UsedRows& used, const std::vector<NormObjective>& norms) {
  for (const auto r : used.undesired) {
    const NormObjective& norm = norms[batch.norm[row_of(batch.undesired, r)]];
    if (norm.objective == Objective::kUnlikelihood && norm.unlikelihood_level == UnlikelihoodLevel::kToken)
      return Unlikelihood::kCompute;
  }
  return Unlikelihood::kSkip;
}

ObjectiveResult assemble_objective(const ScoredOutputs& scored, const Batch& batch, const UsedRows& used,
                                   const std::vector<NormObjective>& norms, const std::vector<NormTotals>& totals,
                                   const ReferenceLogProbs* reference, const std::vector<double>& kl) {
  const auto on_host = [](const at::Tensor& values_R) { return values_R.detach().to(at::kCPU).contiguous(); };
  const bool narrowed = !used.compared.empty(), any_unlikelihood = scored.unlikely_R.defined();
  const at::Tensor log_prob = on_host(scored.log_prob_R);
  const at::Tensor compared = narrowed ? on_host(scored.compared_R) : log_prob;
  const at::Tensor unlikely = any_unlikelihood ? on_host(scored.unlikely_R) : at::Tensor();

  Assembly assembly(batch, norms, totals, used, reference, kl);
  assembly.add(log_prob.const_data_ptr<double>(), compared.const_data_ptr<double>(),
               any_unlikelihood ? unlikely.const_data_ptr<double>() : nullptr);
  if (!narrowed)
    for (std::size_t r = 0; r < used.rows(); ++r) assembly.log_prob_factor[r] += assembly.compared_factor[r];
  at::Tensor linear = weighted(scored.log_prob_R, assembly.log_prob_factor);
  if (narrowed) linear = linear + weighted(scored.compared_R, assembly.compared_factor);
  if (any_unlikelihood) linear = linear + weighted(scored.unlikely_R, assembly.unlikely_factor);
  ObjectiveResult result;
  double value = 0;
  for (std::size_t n = 0; n < norms.size(); ++n) value += norms[n].weight * assembly.sums[n].loss;
  result.loss = linear - linear.detach() + value;
  result.sums = std::move(assembly.sums);
  return result;
}

}  // namespace plumbline
