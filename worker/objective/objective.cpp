// Assembles the objectives of a micro-batch. Every objective's gradient with respect to a row's log-prob is known in
// closed form once the forward pass is done, so the loss that backward() sees is a weighted sum of row scores whose
// value is set to the objective's: loss = value + sum_r coefficient_r * (score_r - score_r's value).
#include "worker/objective/objective.hpp"

#include "common/core/check.hpp"
#include "worker/objective/outputs.hpp"
#include "worker/objective/terms.hpp"

namespace plumbline {

namespace {

enum class Sides { kDesired, kUndesired };

bool is_used(const NormObjective& norm, ExampleKind kind, Sides side) {
  if (side == Sides::kDesired) return kind != ExampleKind::kProhibition;
  if (norm.objective == Objective::kUnlikelihood) return kind != ExampleKind::kDemonstration;
  return norm.objective == Objective::kDpo && kind == ExampleKind::kPreference;
}

std::vector<std::int64_t> rows_used(const Batch& batch, const OutputTensors& outputs, Sides side,
                                    const std::vector<NormObjective>& norms) {
  std::vector<std::int64_t> rows;
  for (std::int64_t r = 0; r < outputs.rows(); ++r) {
    const auto b = static_cast<std::size_t>(outputs.batch_row[static_cast<std::size_t>(r)]);
    PLUMBLINE_CHECK(b < batch.norm.size() && batch.norm[b] < norms.size(),
                    "a batch row names a norm that the run does not have");
    if (is_used(norms[batch.norm[b]], batch.kind[b], side)) rows.push_back(r);
  }
  return rows;
}

/// Row scores on the host, and the factors with which they enter the loss.
class Assembly {
 public:
  Assembly(const Batch& batch, const std::vector<NormObjective>& norms, const std::vector<NormTotals>& totals,
           const UsedRows& used, const ReferenceLogProbs* reference)
      : batch_(batch),
        norms_(norms),
        totals_(totals),
        used_(used),
        reference_(reference),
        sums(norms.size()),
        log_prob_factor(used.desired.size() + used.undesired.size(), 0.0),
        unlikely_factor(log_prob_factor) {}

  void add_desired(const double* log_prob) {
    desired_of_row_.assign(batch_.norm.size(), kNone);
    for (std::size_t i = 0; i < used_.desired.size(); ++i) {
      const std::size_t b = row_of(batch_.desired, used_.desired[i]), n = batch_.norm[b];
      desired_of_row_[b] = i;
      const double factor = sft_coefficient(norms_[n], totals_[n], batch_.weight[b]);
      sums[n].nll_desired -= log_prob[i];
      sums[n].loss -= factor * log_prob[i];
      log_prob_factor[i] -= norms_[n].weight * factor;
    }
  }
  void add_undesired(const double* log_prob, const double* unlikely) {
    const std::size_t first = used_.desired.size();
    for (std::size_t i = 0; i < used_.undesired.size(); ++i) {
      const std::size_t b = row_of(batch_.undesired, used_.undesired[i]), n = batch_.norm[b], r = first + i;
      if (norms_[n].objective == Objective::kUnlikelihood) {
        const double factor = unlikelihood_coefficient(norms_[n], totals_[n], batch_.weight[b]);
        sums[n].loss += factor * unlikely[r];
        unlikely_factor[r] += norms_[n].weight * factor;
      }
      if (batch_.kind[b] == ExampleKind::kPreference) add_preference(b, desired_of_row_[b], r, log_prob);
    }
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  static std::size_t row_of(const OutputTensors& outputs, std::int64_t r) {
    return static_cast<std::size_t>(outputs.batch_row[static_cast<std::size_t>(r)]);
  }
  void add_preference(std::size_t b, std::size_t desired, std::size_t undesired, const double* log_prob) {
    PLUMBLINE_CHECK(desired != kNone, "a preference has no desired output");
    const std::size_t n = batch_.norm[b];
    const double lp_desired = log_prob[desired], lp_undesired = log_prob[undesired];
    sums[n].log_prob_desired += lp_desired;
    sums[n].log_prob_undesired += lp_undesired;
    double better = lp_desired, worse = lp_undesired;
    if (norms_[n].objective == Objective::kDpo) {
      PLUMBLINE_CHECK(reference_ != nullptr, "dpo needs the reference model's log-probs");
      const double ref_desired = reference_->desired.at(static_cast<std::size_t>(used_.desired[desired]));
      const double ref_undesired =
          reference_->undesired.at(static_cast<std::size_t>(used_.undesired[undesired - used_.desired.size()]));
      const DpoPair pair = dpo_pair(norms_[n], lp_desired, lp_undesired, ref_desired, ref_undesired);
      const double factor = dpo_coefficient(totals_[n], batch_.weight[b]);
      sums[n].loss += factor * pair.loss;
      log_prob_factor[desired] += norms_[n].weight * factor * pair.slope;
      log_prob_factor[undesired] -= norms_[n].weight * factor * pair.slope;
      sums[n].reward_desired += better = pair.reward_desired;
      sums[n].reward_undesired += worse = pair.reward_undesired;
    }
    sums[n].correct += better > worse ? 1.0 : better == worse ? 0.5 : 0.0;
  }

  const Batch& batch_;
  const std::vector<NormObjective>& norms_;
  const std::vector<NormTotals>& totals_;
  const UsedRows& used_;
  const ReferenceLogProbs* reference_;
  std::vector<std::size_t> desired_of_row_;  ///< by batch row: its index among the used desired rows

 public:
  std::vector<NormSums> sums;
  std::vector<double> log_prob_factor, unlikely_factor;  ///< by output row
};

at::Tensor weighted(const at::Tensor& score_R, const std::vector<double>& factors) {
  return (score_R * at::tensor(factors, at::kDouble).to(score_R.device())).sum();
}

}  // namespace

ObjectiveResult compute_objective(const T5& model, const Batch& batch, const std::vector<NormObjective>& norms,
                                  const std::vector<NormTotals>& totals, const ReferenceLogProbs* reference,
                                  std::optional<DropoutKey> dropout) {
  PLUMBLINE_CHECK(norms.size() == totals.size(), "norms and totals differ in number");
  const UsedRows used{rows_used(batch, batch.desired, Sides::kDesired, norms),
                      rows_used(batch, batch.undesired, Sides::kUndesired, norms)};
  ObjectiveResult result;
  if (used.desired.empty() && used.undesired.empty()) {  // A zero that backward() accepts.
    result.loss =
        at::zeros({}, at::TensorOptions().dtype(at::kDouble).device(batch.source_BS.device())).requires_grad_(true);
    result.sums.resize(norms.size());
    return result;
  }
  bool any_unlikelihood = false;
  for (const auto r : used.undesired)
    any_unlikelihood |=
        norms[batch.norm[static_cast<std::size_t>(batch.undesired.batch_row[static_cast<std::size_t>(r)])]].objective ==
        Objective::kUnlikelihood;
  const ScoredOutputs scored =
      score_outputs(model, batch, used, any_unlikelihood ? Unlikelihood::kCompute : Unlikelihood::kSkip, dropout);
  const at::Tensor log_prob = scored.log_prob_R.detach().to(at::kCPU).contiguous();
  const at::Tensor unlikely =
      any_unlikelihood ? scored.unlikely_R.detach().to(at::kCPU).contiguous() : at::zeros_like(log_prob);

  Assembly assembly(batch, norms, totals, used, reference);
  assembly.add_desired(log_prob.const_data_ptr<double>());
  assembly.add_undesired(log_prob.const_data_ptr<double>(), unlikely.const_data_ptr<double>());
  at::Tensor linear = weighted(scored.log_prob_R, assembly.log_prob_factor);
  if (any_unlikelihood) linear = linear + weighted(scored.unlikely_R, assembly.unlikely_factor);
  double value = 0;
  for (std::size_t n = 0; n < norms.size(); ++n) value += norms[n].weight * assembly.sums[n].loss;
  result.loss = linear - linear.detach() + value;
  result.sums = std::move(assembly.sums);
  return result;
}

ReferenceLogProbs score(const T5& model, const Batch& batch) {
  const at::NoGradGuard no_grad;
  UsedRows used;
  for (std::int64_t r = 0; r < batch.desired.rows(); ++r) used.desired.push_back(r);
  for (std::int64_t r = 0; r < batch.undesired.rows(); ++r) used.undesired.push_back(r);
  ReferenceLogProbs result;
  if (used.desired.empty() && used.undesired.empty()) return result;
  const at::Tensor log_prob =
      score_outputs(model, batch, used, Unlikelihood::kSkip, {}).log_prob_R.to(at::kCPU).contiguous();
  const double* values = log_prob.const_data_ptr<double>();
  for (std::size_t i = 0; i < used.desired.size(); ++i) result.desired.push_back(static_cast<float>(values[i]));
  for (std::size_t i = 0; i < used.undesired.size(); ++i)
    result.undesired.push_back(static_cast<float>(values[used.desired.size() + i]));
  return result;
}

}  // namespace plumbline
