#include "coordinator/schedule/retention.hpp"

#include <algorithm>
#include <set>

#include "common/record/metrics.hpp"

namespace plumbline {
namespace {

/// The mean of the norms' losses.
std::optional<double> mean_loss(const Json& norms) {
  double sum = 0;
  for (const auto& [name, numbers] : norms.items()) {
    const Json loss = numbers.is_object() ? numbers.value("loss", Json()) : Json();
    if (!loss.is_number()) return std::nullopt;
    sum += loss.get<double>();
  }
  if (norms.empty()) return std::nullopt;
  return sum / static_cast<double>(norms.size());
}

std::set<Step> best_of(const std::vector<Step>& present, const std::vector<HeldOutMeasure>& measures, int count) {
  std::vector<HeldOutMeasure> candidates;
  for (const HeldOutMeasure& measure : measures)
    if (std::find(present.begin(), present.end(), Step(measure.step)) != present.end()) candidates.push_back(measure);
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto& a, const auto& b) { return a.value < b.value; });
  std::set<Step> best;
  for (const HeldOutMeasure& measure : candidates)
    if (static_cast<int>(best.size()) < count) best.insert(Step(measure.step));
  return best;
}

/// Those of milestones, and in place of each that was due and is not there the one that came next, until another was
/// due. `present` is ascending.
std::set<Step> milestones_of(const RetentionPolicy& policy, const std::vector<Step>& present) {
  std::set<Step> milestones;
  if (policy.keep_every <= 0) return milestones;
  for (std::size_t i = 0; i < present.size(); ++i) {
    const std::int64_t step = present[i].value(), milestone = step - step % policy.keep_every;
    const bool was_due = policy.every > 0 && milestone > 0 && milestone % policy.every == 0;
    const bool is_next = i == 0 || present[i - 1].value() < milestone;
    if (step == milestone || (was_due && is_next && step <= milestone + policy.every)) milestones.insert(present[i]);
  }
  return milestones;
}

}  // namespace

std::optional<HeldOutMeasure> held_out_measure(const Json& line, bool judged) {
  if (judged) {
    const auto rate = measured_rate(line);
    if (!rate) return std::nullopt;
    return HeldOutMeasure{rate->step, rate->rate};
  }
  if (!line.is_object() || line.value("kind", Json()) != "heldout") return std::nullopt;
  const auto step = line.find("step"), norms = line.find("norms");
  if (step == line.end() || !step->is_number_integer() || norms == line.end() || !norms->is_object())
    return std::nullopt;
  const auto loss = mean_loss(*norms);
  if (!loss) return std::nullopt;
  return HeldOutMeasure{step->get<std::int64_t>(), *loss};
}

void add_measure(std::vector<HeldOutMeasure>& measures, const HeldOutMeasure& measure) {
  while (!measures.empty() && measures.back().step >= measure.step) measures.pop_back();
  measures.push_back(measure);
}

std::vector<Step> surplus_checkpoints(const RetentionPolicy& policy, std::vector<Step> present, Step newest,
                                      const std::vector<HeldOutMeasure>& measures) {
  std::sort(present.begin(), present.end());
  const std::set<Step> best = best_of(present, measures, policy.keep_best), milestones = milestones_of(policy, present);
  const auto up_to_newest = std::upper_bound(present.begin(), present.end(), newest) - present.begin();
  std::vector<Step> surplus;
  for (auto i = decltype(up_to_newest){0}; i < up_to_newest; ++i) {
    const Step step = present[static_cast<std::size_t>(i)];
    const bool is_recent = up_to_newest - i <= policy.keep;
    if (step == newest || is_recent || milestones.contains(step) || best.contains(step)) continue;
    surplus.push_back(step);
  }
  return surplus;
}

}  // namespace plumbline
