#include "common/data/used_sides.hpp"

namespace plumbline {

bool compares_pairs(Objective objective) {
  return objective != Objective::kSft && objective != Objective::kUnlikelihood && objective != Objective::kKto;
}

bool is_used(Objective objective, ExampleKind kind, Side side) {
  if (side == Side::kDesired) return kind != ExampleKind::kProhibition;
  if (objective == Objective::kUnlikelihood || objective == Objective::kKto) return kind != ExampleKind::kDemonstration;
  return compares_pairs(objective) && kind == ExampleKind::kPreference;
}

std::vector<Objective> objectives_of(const RunConfig& config, const DatasetInfo& dataset) {
  std::vector<Objective> objectives;
  for (const Norm& norm : dataset.norms) {
    const auto found = config.norms.find(norm.name);
    objectives.push_back(found == config.norms.end() ? norm.objective
                                                     : found->second.objective.value_or(norm.objective));
  }
  return objectives;
}

}  // namespace plumbline
