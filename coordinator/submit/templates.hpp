// slurm/run.sbatch.in, embedded when the program is built.
#pragma once
#include <string_view>

namespace plumbline::embedded {
std::string_view run_sbatch();
}  // namespace plumbline::embedded
