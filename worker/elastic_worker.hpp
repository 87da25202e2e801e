// A worker of an elastic group: it keeps its model while others come and go, and forms a new group with those who are
// left whenever the coordinator says so. MPI is not used.
#pragma once
#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

/// From the first word to the coordinator to its dismissal. `number` tells this worker from the others of the run, and
/// on a machine with GPUs says which one is its own. An error has been told to the coordinator.
Status work_in_elastic_group(const RunLayout& layout, const RunConfig& config, int number);

}  // namespace plumbline
