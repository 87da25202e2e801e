// `local`: one worker on this machine, without a collective.
#include "coordinator/launch/backends.hpp"
#include "coordinator/launch/process.hpp"

namespace plumbline {
namespace {

class LocalLauncher final : public Launcher {
 public:
  explicit LocalLauncher(WorkerCommand command) : command_(std::move(command)) {}
  [[nodiscard]] std::string name() const override { return "local"; }
  [[nodiscard]] Status check() const override { return check_worker_program(command_.worker); }
  [[nodiscard]] std::string command(const LaunchRequest&) const override { return shell_quote(argv()); }
  Result<std::unique_ptr<WorkerGroup>> start(const LaunchRequest& request) override {
    return start_process({argv(), worker_environment(request.group), command_.log});
  }
  [[nodiscard]] bool restarts() const override { return true; }

 private:
  [[nodiscard]] std::vector<std::string> argv() const { return {command_.worker, "--join", command_.run}; }
  WorkerCommand command_;
};

}  // namespace

std::unique_ptr<Launcher> make_local_launcher(WorkerCommand command) {
  return std::make_unique<LocalLauncher>(std::move(command));
}

}  // namespace plumbline
