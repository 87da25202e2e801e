// Chooses the launcher and finds the worker program.
#include "coordinator/launch/launch.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "common/config/loopback.hpp"
#include "coordinator/launch/backends.hpp"
#include "coordinator/launch/process.hpp"

namespace plumbline {

namespace fs = std::filesystem;

fs::path worker_program() {
  std::error_code ignored;
  if (const char* given = std::getenv("PLUMBLINE_WORKER_PROGRAM"); given != nullptr && *given != '\0')
    return fs::absolute(given, ignored);
  return fs::read_symlink("/proc/self/exe", ignored).parent_path() / "plumbline-worker";
}

Status check_worker_program(const fs::path& program) {
  std::error_code ignored;
  if (fs::is_regular_file(program, ignored) && ::access(program.c_str(), X_OK) == 0) return {};
  return environment_error(
      "the worker program is not there", program.string(),
      "Build it with `./plumbline build` (with CMake alone: build the target plumbline-worker), or "
      "name it in $PLUMBLINE_WORKER_PROGRAM.");
}

namespace {

/// Elastic groups have not been seen to work on GPUs yet, so several workers there are one static group.
bool may_use_gpus(const WorkersConfig& workers) {
  std::error_code ignored;
  return workers.device == "cuda" || (workers.device == "auto" && fs::exists("/dev/nvidia0", ignored));
}

/// Workers on other hosts cannot reach a coordinator that listens on this one alone.
Status check_reach(const RunConfig& config) {
  if (config.workers.device == "cuda")
    return usage_error("the launcher srun starts workers on CPUs", "workers.device",
                       "On the GPUs of one host take mpirun: --launcher mpirun.");
  if (!is_loopback(config.control.bind)) return {};
  return usage_error("workers on other hosts cannot reach a coordinator that listens on " + config.control.bind,
                     "control.bind", "Set it to 0.0.0.0, or to an address that the other hosts see.");
}

}  // namespace

Result<std::unique_ptr<Launcher>> make_launcher(const RunConfig& config, int workers, const RunLayout& layout) {
  if (workers < 1) return usage_error("at least one worker is needed", "workers.count");
  if (workers > config.train.lanes)
    return usage_error(fmt::format("{} workers are more than the run's {} lanes", workers, config.train.lanes),
                       "workers.count",
                       "A worker computes whole lanes: use fewer workers, or a larger train.lanes in a new run.");
  std::error_code ignored;
  WorkerCommand command{worker_program(), fs::absolute(layout.root(), ignored).lexically_normal(), {}};
  command.log = RunLayout(command.run).logs() / "launcher.log";
  std::string name = config.workers.launcher;
  if (name == "auto") name = workers > 1 && may_use_gpus(config.workers) ? "mpirun" : "local";
  if (name == "local") return make_local_launcher(std::move(command));
  if (name == "mpirun") return make_mpirun_launcher(std::move(command));
  if (name == "srun") {
    PLUMBLINE_TRY(check_reach(config));
    return make_srun_launcher(std::move(command), workers, config.workers.threads);
  }
  if (name == "external") return make_external_launcher(std::move(command));
  return usage_error(fmt::format("there is no launcher {}", name), "workers.launcher",
                     "The launchers are auto, local, mpirun, srun and external.");
}

}  // namespace plumbline
