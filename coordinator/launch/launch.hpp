// Launchers start workers and say what became of them. What start() starts is one unit, which lives while its process
// lives: a whole static group, or one worker of an elastic group. No Asio here: the caller waits on `pidfd()` (readable
// when the process has ended) or, for a group that a person starts, on nothing.
//
// A started process runs in a process group of its own (Ctrl-C in a terminal reaches the coordinator alone), reads
// /dev/null, appends to logs/launcher.log, and gets SIGTERM from the kernel when the thread that called start() ends;
// so call start() on a thread that lives as long as the coordinator. mpirun puts each rank in a process group of its
// own: SIGTERM to mpirun ends the ranks in order; after SIGKILL to mpirun they end by themselves, since they lose both
// mpirun's and the coordinator's connection.
//
// Errors: kUsage for a launcher that does not suit the configuration, kEnvironment for what this machine lacks.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

inline constexpr int kMostWorkers = 16'384;  ///< of a run: as many as train.lanes may be

/// How a group's process ended.
struct GroupExit {
  int status = 0;           ///< exit status; 128 + signal when a signal ended it
  std::string description;  ///< "exited with status 1", "was ended by SIGKILL"
};

/// A started group. Destroying it ends the processes: SIGTERM, a grace period, then SIGKILL to the whole process group.
class WorkerGroup {
 public:
  virtual ~WorkerGroup() = default;
  [[nodiscard]] virtual int pidfd() const = 0;         ///< -1 when the group was not started by this process
  [[nodiscard]] virtual std::int64_t pid() const = 0;  ///< of the launcher's process; 0 as above
  /// Reaps; call once `pidfd()` is readable.
  virtual GroupExit wait() = 0;
  /// Asks the whole group to end (SIGTERM); kill() does not ask. Nothing after wait().
  virtual void terminate() = 0;
  virtual void kill() = 0;
  /// Another looks after it from now on: destroying this leaves the processes alone.
  virtual void let_go() = 0;
};

/// Processes of workers on this machine that `run`'s coordinator launched and that still live, whoever their parent is.
std::vector<std::int64_t> living_workers(const std::filesystem::path& run);

/// A process that another coordinator started, to be watched and signalled; how it ends cannot be learned. An
/// environment error when it is gone.
Result<std::unique_ptr<WorkerGroup>> adopt_process(std::int64_t pid);

struct LaunchRequest {
  int workers = 1;         ///< of a static group
  int number = 0;          ///< of an elastic group's worker
  std::string group;       ///< random hex: PLUMBLINE_GROUP in the workers' environment
  bool elsewhere = false;  ///< nothing is to start any more where this number was started last
  Generation generation;
};

class Launcher {
 public:
  virtual ~Launcher() = default;
  [[nodiscard]] virtual std::string name() const = 0;  ///< "local", "mpirun", "srun", "external"
  /// Each call of start() starts one worker of a group whose workers come and go; otherwise a whole group.
  [[nodiscard]] virtual bool elastic() const { return false; }
  /// It may start a worker on another host than before.
  [[nodiscard]] virtual bool chooses_hosts() const { return false; }
  /// Can it work here? An environment error that says what to install when not (no mpirun: "openmpi-bin").
  [[nodiscard]] virtual Status check() const = 0;
  /// The command line, shell-quoted, for logs and for a person who starts it (external).
  [[nodiscard]] virtual std::string command(const LaunchRequest& request) const = 0;
  virtual Result<std::unique_ptr<WorkerGroup>> start(const LaunchRequest& request) = 0;
  /// True when a group that died is started again by this launcher (false: external).
  [[nodiscard]] virtual bool restarts() const = 0;
};

/// `config.workers.launcher` "auto" becomes "local", or "mpirun" for several workers where they may compute on GPUs.
/// More workers than `train.lanes` are a usage error. Workers' standard output and error go to
/// logs/launcher.log. The worker program is found beside this program (or at $PLUMBLINE_WORKER_PROGRAM); where it is
/// missing check() says how to build it.
Result<std::unique_ptr<Launcher>> make_launcher(const RunConfig& config, int workers, const RunLayout& layout);

}  // namespace plumbline
