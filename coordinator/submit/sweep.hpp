// `--sweep key=a,b,c`: the runs of a sweep, every combination of the values. Pure.
#pragma once
#include <string>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"

namespace plumbline {

struct SweepRun {
  std::string name;                 ///< of its directory: "03-learning_rate=0.001-seed=2"
  std::vector<Override> overrides;  ///< what sets it apart
};

inline constexpr std::size_t kMostSweepRuns = 1000;

/// In the order of the values, the last key changing fastest; one run without overrides when nothing is swept. Commas
/// inside of brackets do not part values: snapshot.sizes=[8,1],[4,2]. Usage errors: no value, a key twice, a value
/// twice, more than kMostSweepRuns.
Result<std::vector<SweepRun>> expand_sweep(const std::vector<std::string>& items);

}  // namespace plumbline
