// Starting one supervised process, and what a launcher needs around it. Linux only: pidfd, and the parent-death signal
// that keeps workers from outliving a killed coordinator.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/launch/launch.hpp"

namespace plumbline {

struct ProcessSpec {
  std::vector<std::string> argv;         ///< argv[0] is the program's path
  std::vector<std::string> environment;  ///< NAME=value
  std::filesystem::path log;  ///< standard output and error are appended here; made with its folder when absent
  int input = -1;             ///< descriptor that is its standard input; -1: /dev/null
  int output = -1;            ///< … and its standard output; -1: the log
  bool outlives = false;      ///< it is not ended when this process dies
};

/// The process, started (exec succeeded). Errors: kEnvironment, naming the program or the log and the system's reason.
Result<std::unique_ptr<WorkerGroup>> start_process(const ProcessSpec& spec);

/// This process's environment for workers of `group`: with PLUMBLINE_GROUP, and without what an outer mpirun, srun or
/// batch job left there, which would make a new mpirun, or a worker, take itself for a part of that one. OMPI_MCA_
/// settings are kept unless an outer launcher set them: a person's own are meant for our mpirun too.
/// `keep`: for srun, which is told by SLURM_ variables which job it is in.
enum class KeepSlurm { kNo, kYes };
std::vector<std::string> worker_environment(const std::string& group, KeepSlurm keep = KeepSlurm::kNo);

/// $PLUMBLINE_WORKER_PROGRAM, else the one beside this program.
std::filesystem::path worker_program();
/// An environment error that says how to build the worker when its program is not there.
Status check_worker_program(const std::filesystem::path& program);

/// The executable `name` in the folders of $PATH.
std::optional<std::filesystem::path> find_program(const std::string& name);

/// The words as a POSIX shell takes them back, quoted where needed.
std::string shell_quote(const std::vector<std::string>& words);

}  // namespace plumbline
