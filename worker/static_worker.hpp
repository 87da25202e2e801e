// A worker of a static group: MPI (or one process alone) says who is there, and one death ends the group. Lives for one
// generation.
#pragma once
#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"
#include "worker/collective/collective.hpp"

namespace plumbline {

/// From the first word to the coordinator to the last. `ranks` is the whole group, and moves bytes of the CPU; between
/// GPUs NCCL is brought together in its place. An error has been told to the coordinator.
Status work_in_static_group(const RunLayout& layout, const RunConfig& config, Collective& ranks);

}  // namespace plumbline
