// What is learned from a model's own outputs for one source. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/data/sampling.hpp"
#include "common/text/norm.hpp"

namespace plumbline {

/// Which output is desired.
enum class Desired {
  kBest,   ///< the model's best output that the judge accepts; where it has none, the dataset's
  kGiven,  ///< the dataset's; where it has none, the model's best
};

struct Choice {
  std::optional<std::string> desired, undesired;
  bool desired_is_own = false;     ///< the model wrote it
  int accepted = 0, rejected = 0;  ///< of the outputs; empty and cut ones are neither
};

/// Best is the accepted output with the highest desired_score against `given`, the earliest of equals (without `given`:
/// the earliest accepted). Undesired is the earliest output that the judge rejects, so the greedy one where it was
/// rejected. An empty output teaches nothing, and one that was cut at its longest is not what the model would have
/// said: both are passed over.
Choice choose(const Norm& norm, const Judge& judge, const std::string& source, const std::optional<std::string>& given,
              const SampledRow& sampled, Desired desired);

/// An output that the judge rejects, and what repair made of it.
struct Repaired {
  std::string desired, undesired;
};

/// Of each output that the judge rejects and whose repair it accepts, in their order; equal outputs once.
std::vector<Repaired> repaired_outputs(const Judge& judge, const std::string& source, const SampledRow& sampled);

}  // namespace plumbline
