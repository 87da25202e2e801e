#include "coordinator/refine/choose.hpp"

#include <set>

namespace plumbline {

Choice choose(const Norm& norm, const Judge& judge, const std::string& source, const std::optional<std::string>& given,
              const SampledRow& sampled, Desired desired) {
  Choice choice;
  const std::string* best = nullptr;
  double best_score = 0;
  for (std::size_t i = 0; i < sampled.outputs.size(); ++i) {
    const std::string& output = sampled.outputs[i];
    if (output.empty() || !sampled.complete[i]) continue;
    if (judge.judge(source, output).undesirable) {
      ++choice.rejected;
      if (!choice.undesired) choice.undesired = output;
      continue;
    }
    ++choice.accepted;
    const double score = given ? desired_score(norm, source, output, *given) : 0;
    if (best != nullptr && score <= best_score) continue;
    best = &output;
    best_score = score;
  }
  choice.desired_is_own = best != nullptr && (desired == Desired::kBest || !given);
  choice.desired = choice.desired_is_own ? std::optional(*best) : given;
  return choice;
}

std::vector<Repaired> repaired_outputs(const Judge& judge, const std::string& source, const SampledRow& sampled) {
  std::vector<Repaired> pairs;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < sampled.outputs.size(); ++i) {
    const std::string& output = sampled.outputs[i];
    const std::optional<std::string>& repaired = sampled.repaired[i];
    if (!repaired || output.empty() || !sampled.complete[i]) continue;
    if (!judge.judge(source, output).undesirable || judge.judge(source, *repaired).undesirable) continue;
    if (seen.insert(output).second) pairs.push_back({*repaired, output});
  }
  return pairs;
}

}  // namespace plumbline
