// `local`: workers on this machine, each a process of its own, in an elastic group.
#include "coordinator/launch/backends.hpp"
#include "coordinator/launch/process.hpp"

namespace plumbline {
namespace {

class LocalLauncher final : public Launcher {
 public:
  explicit LocalLauncher(WorkerCommand command) : command_(std::move(command)) {}
  [[nodiscard]] std::string name() const override { return "local"; }
  [[nodiscard]] Status check() const override { return check_worker_program(command_.worker); }
  [[nodiscard]] bool elastic() const override { return true; }
  [[nodiscard]] std::string command(const LaunchRequest& request) const override { return shell_quote(argv(request)); }
  Result<std::unique_ptr<WorkerGroup>> start(const LaunchRequest& request) override {
    ProcessSpec spec;
    spec.argv = argv(request);
    spec.environment = worker_environment(request.group);
    spec.log = command_.log;
    spec.outlives = true;  // A killed coordinator's workers wait for the next one.
    return start_process(spec);
  }
  [[nodiscard]] bool restarts() const override { return true; }

 private:
  [[nodiscard]] std::vector<std::string> argv(const LaunchRequest& request) const {
    return {command_.worker, "--join", command_.run, "--worker", std::to_string(request.number)};
  }
  WorkerCommand command_;
};

}  // namespace

std::unique_ptr<Launcher> make_local_launcher(WorkerCommand command) {
  return std::make_unique<LocalLauncher>(std::move(command));
}

}  // namespace plumbline
