// The launchers, one file each. Only launch.cpp chooses among them.
#pragma once
#include <filesystem>
#include <memory>

#include "coordinator/launch/launch.hpp"

namespace plumbline {

/// What every launcher starts: `worker --join run`. Absolute paths.
struct WorkerCommand {
  std::filesystem::path worker;  ///< the program
  std::filesystem::path run;     ///< run directory
  std::filesystem::path log;     ///< takes standard output and error
};

std::unique_ptr<Launcher> make_local_launcher(WorkerCommand command);
std::unique_ptr<Launcher> make_mpirun_launcher(WorkerCommand command);
/// `workers` in all, `threads` compute threads each.
std::unique_ptr<Launcher> make_srun_launcher(WorkerCommand command, int workers, int threads);
std::unique_ptr<Launcher> make_external_launcher(WorkerCommand command);

}  // namespace plumbline
