// `mpirun`: Open MPI starts all workers of the group on this machine and ends them all when one dies.
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include "coordinator/launch/backends.hpp"
#include "coordinator/launch/process.hpp"

namespace plumbline {
namespace {

/// May one process read another's memory? Containers often refuse the system call; Open MPI's shared-memory transport
/// then fails in the middle of a message instead of copying twice, so it must be told beforehand.
bool single_copy_allowed() {
  char from = 1, to = 0;
  const iovec local{&to, 1}, remote{&from, 1};
  return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == 1;
}

class MpirunLauncher final : public Launcher {
 public:
  explicit MpirunLauncher(WorkerCommand command) : command_(std::move(command)) {}
  [[nodiscard]] std::string name() const override { return "mpirun"; }

  [[nodiscard]] Status check() const override {
    if (!find_program("mpirun"))
      return environment_error("mpirun, which starts more than one worker, is not in the PATH", "workers.launcher",
                               "Install Open MPI (Debian: `apt-get install openmpi-bin`), or train with --workers 1.");
    return check_worker_program(command_.worker);
  }

  [[nodiscard]] std::string command(const LaunchRequest& request) const override {
    return shell_quote(argv(request, find_program("mpirun").value_or("mpirun")));
  }

  Result<std::unique_ptr<WorkerGroup>> start(const LaunchRequest& request) override {
    PLUMBLINE_TRY(check());
    return start_process(
        {argv(request, find_program("mpirun").value_or("mpirun")), worker_environment(request.group), command_.log});
  }
  [[nodiscard]] bool restarts() const override { return true; }

 private:
  [[nodiscard]] std::vector<std::string> argv(const LaunchRequest& request, const std::string& mpirun) const {
    std::vector<std::string> words = {mpirun};
    if (::geteuid() == 0) words.emplace_back("--allow-run-as-root");
    // The number of workers is the person's choice, and threads are set by the worker, never by a binding.
    for (const char* word : {"--oversubscribe", "--bind-to", "none", "--tag-output"}) words.emplace_back(word);
    // One machine: shared memory, no look at network interfaces, and no rsh or srun even inside a batch job.
    for (const char* word : {"--mca", "pml", "ob1", "--mca", "btl", "self,vader", "--mca", "plm", "isolated"})
      words.emplace_back(word);
    if (!single_copy_allowed())
      for (const char* word : {"--mca", "btl_vader_single_copy_mechanism", "none"}) words.emplace_back(word);
    for (const std::string& word :
         {std::string("-x"), std::string("PLUMBLINE_GROUP"), std::string("-np"), std::to_string(request.workers),
          command_.worker.string(), std::string("--join"), command_.run.string()})
      words.push_back(word);
    return words;
  }
  WorkerCommand command_;
};

}  // namespace

std::unique_ptr<Launcher> make_mpirun_launcher(WorkerCommand command) {
  return std::make_unique<MpirunLauncher>(std::move(command));
}

}  // namespace plumbline
