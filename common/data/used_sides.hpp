// Which outputs an objective trains on: the plan counts these, the worker computes these, and no other. Pure.
//
//                 demonstration     preference           prohibition
//   sft           desired           desired              nothing
//   unlikelihood  desired           both                 undesired
//   kto           desired           both                 undesired
//   others        desired (sft)     both                 nothing
#pragma once
#include <vector>

#include "common/config/run_config.hpp"
#include "common/data/dataset.hpp"

namespace plumbline {

/// Does its loss compare the two outputs of a preference?
bool compares_pairs(Objective objective);
/// Does the loss of an example of this kind depend on this output, desired or undesired? What it does not depend on is
/// not computed.
bool is_used(Objective objective, ExampleKind kind, Side side);

/// By norm index: the objective that the configuration names, else the dataset's.
std::vector<Objective> objectives_of(const RunConfig& config, const DatasetInfo& dataset);

}  // namespace plumbline
