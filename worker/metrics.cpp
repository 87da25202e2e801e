#include "worker/metrics.hpp"

#include <iterator>

#include "common/core/clock.hpp"

namespace plumbline {

namespace {

/// Each of NormSums' kFields, in the order of the slots.
constexpr double NormSums::*kFields[] = {&NormSums::loss,
                                         &NormSums::nll_desired,
                                         &NormSums::log_prob_desired,
                                         &NormSums::log_prob_undesired,
                                         &NormSums::reward_desired,
                                         &NormSums::reward_undesired,
                                         &NormSums::correct,
                                         &NormSums::log_odds,
                                         &NormSums::log_sigmoid_odds,
                                         &NormSums::kl};
static_assert(std::size(kFields) == NormSums::kFields);

/// kto's outputs need not come in pairs: each class has its own mean.
void add_kto_metrics(const NormTotals& totals, const NormSums& s, Json& norm) {
  const auto desired = static_cast<double>(totals.demonstrations + totals.preferences);
  const auto undesired = static_cast<double>(totals.prohibitions + totals.preferences);
  norm["kl"] = s.kl / (desired + undesired);
  if (desired > 0) norm["logps/chosen"] = s.log_prob_desired / desired;
  if (desired > 0) norm["rewards/chosen"] = s.reward_desired / desired;
  if (undesired > 0) norm["logps/rejected"] = s.log_prob_undesired / undesired;
  if (undesired > 0) norm["rewards/rejected"] = s.reward_undesired / undesired;
  if (desired > 0 && undesired > 0)
    norm["rewards/margins"] = s.reward_desired / desired - s.reward_undesired / undesired;
}

}  // namespace

std::size_t num_slots(std::size_t norms) { return norms * std::size(kFields); }

void add_to_slots(const std::vector<NormSums>& sums, double* slots) {
  for (const NormSums& s : sums)
    for (const auto field : kFields) *slots++ += s.*field;
}

std::vector<NormSums> from_slots(const double* slots, std::size_t norms) {
  std::vector<NormSums> sums(norms);
  for (NormSums& s : sums)
    for (const auto field : kFields) s.*field = *slots++;
  return sums;
}

Json norm_metrics(const std::vector<std::string>& names, const std::vector<NormObjective>& norms,
                  const std::vector<NormTotals>& totals, const std::vector<NormSums>& sums) {
  Json all = Json::object();
  for (std::size_t n = 0; n < norms.size(); ++n) {
    if (totals[n].examples == 0) continue;
    const NormSums& s = sums[n];
    Json norm{{"loss", s.loss}};
    if (totals[n].desired_tokens > 0) norm["nll_loss"] = s.nll_desired / static_cast<double>(totals[n].desired_tokens);
    if (norms[n].objective == Objective::kKto) {
      add_kto_metrics(totals[n], s, norm);
    } else if (totals[n].preferences > 0 && norms[n].objective != Objective::kSft) {
      const auto pairs = static_cast<double>(totals[n].preferences);
      norm["logps/chosen"] = s.log_prob_desired / pairs;
      norm["logps/rejected"] = s.log_prob_undesired / pairs;
      norm["rewards/accuracies"] = s.correct / pairs;
      if (compares_pairs(norms[n].objective)) {
        norm["rewards/chosen"] = s.reward_desired / pairs;
        norm["rewards/rejected"] = s.reward_undesired / pairs;
        norm["rewards/margins"] = (s.reward_desired - s.reward_undesired) / pairs;
      }
      if (norms[n].objective == Objective::kOrpo) {  // TRL's names and meanings.
        norm["log_odds_ratio"] = s.log_sigmoid_odds / pairs;
        norm["log_odds_chosen"] = s.log_odds / pairs;
      }
    }
    all[names[n]] = std::move(norm);
  }
  return all;
}

Json step_metrics(const StepReport& report, const std::vector<std::string>& names,
                  const std::vector<NormObjective>& norms) {
  const PhaseSeconds& phases = report.phases;
  const double model_flops_per_second = report.seconds > 0 ? report.model_flops / report.seconds : 0;
  Json line{{"kind", "train"},
            {"step", report.step},
            {"time", utc_now()},
            {"epoch", report.epoch},
            {"loss", report.loss},
            {"learning_rate", report.learning_rate},
            {"grad_norm", report.gradient_norm},
            {"tokens_per_second", report.tokens_per_second()},
            {"model_flops_per_second", model_flops_per_second},
            {"source_tokens", report.source_tokens},
            {"output_tokens", report.output_tokens},
            {"seconds", report.seconds},
            {"phase_seconds",
             {{"data", phases.data},
              {"forward", phases.forward},
              {"backward", phases.backward},
              {"reduce", phases.reduce},
              {"optimizer", phases.optimizer}}},
            {"norms", norm_metrics(names, norms, report.totals, report.sums)}};
  if (report.peak_flops_per_second > 0) line["mfu"] = model_flops_per_second / report.peak_flops_per_second;
  return line;
}

double weighted_loss(const std::vector<NormObjective>& norms, const std::vector<NormSums>& sums) {
  double loss = 0;
  for (std::size_t n = 0; n < norms.size(); ++n) loss += norms[n].weight * sums[n].loss;
  return loss;
}

}  // namespace plumbline
