#include "worker/objective/objective.hpp"

#include "common/core/check.hpp"
#include "worker/objective/assembly.hpp"
#include "worker/objective/outputs.hpp"

namespace plumbline {

bool needs_reference(Objective objective) {
  return objective == Objective::kDpo || objective == Objective::kIpo || objective == Objective::kKto;
}

ObjectiveResult compute_objective(const T5& model, const Batch& batch, const std::vector<NormObjective>& norms,
                                  const std::vector<NormTotals>& totals, const ReferenceLogProbs* reference,
                                  std::optional<DropoutKey> dropout, const std::vector<double>& kl) {
  PLUMBLINE_CHECK(norms.size() == totals.size(), "norms and totals differ in number");
  const UsedRows used = rows_used(batch, norms);
  if (used.rows() == 0) {  // A zero that backward() accepts.
    ObjectiveResult result;
    result.loss =
        at::zeros({}, at::TensorOptions().dtype(at::kDouble).device(batch.source_BS.device())).requires_grad_(true);
    result.sums.resize(norms.size());
    return result;
  }
  const ScoredOutputs scored = score_outputs(model, batch, used, unlikelihood_used(batch, used, norms), dropout);
  return assemble_objective(scored, batch, used, norms, totals, reference, kl);
}

ReferenceLogProbs score(const T5& model, const Batch& batch) {
  const at::NoGradGuard no_grad;
  UsedRows used;
  for (const bool is_desired : {true, false}) {
    const OutputTensors& outputs = is_desired ? batch.desired : batch.undesired;
    auto& rows = is_desired ? used.desired : used.undesired;
    for (std::int64_t r = 0; r < outputs.rows(); ++r) rows.push_back(r);
    used.compared.insert(used.compared.end(), outputs.differing.begin(), outputs.differing.end());
  }
  ReferenceLogProbs result;
  if (used.rows() == 0) return result;
  const ScoredOutputs scored = score_outputs(model, batch, used, Unlikelihood::kSkip, {});
  const auto split = [&](const at::Tensor& values_R, std::vector<float>& desired, std::vector<float>& undesired) {
    const at::Tensor host = values_R.to(at::kCPU).contiguous();
    const double* values = host.const_data_ptr<double>();
    for (std::size_t i = 0; i < used.rows(); ++i)
      (i < used.desired.size() ? desired : undesired).push_back(static_cast<float>(values[i]));
  };
  split(scored.log_prob_R, result.desired, result.undesired);
  split(scored.compared_R, result.desired_differing, result.undesired_differing);
  return result;
}

}  // namespace plumbline
