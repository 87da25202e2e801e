// `external`: a person starts the group, under an mpirun of their own; the coordinator waits for it and prints how.
#include <unistd.h>

#include "coordinator/launch/backends.hpp"
#include "coordinator/launch/process.hpp"

namespace plumbline {
namespace {

/// A group that this process neither started nor can signal: its end shows on the control connections alone.
class ExternalGroup final : public WorkerGroup {
 public:
  [[nodiscard]] int pidfd() const override { return -1; }
  [[nodiscard]] std::int64_t pid() const override { return 0; }
  GroupExit wait() override { return {0, "was started by a person"}; }
  void terminate() override {}
  void kill() override {}
  void let_go() override {}
};

class ExternalLauncher final : public Launcher {
 public:
  explicit ExternalLauncher(WorkerCommand command) : command_(std::move(command)) {}
  [[nodiscard]] std::string name() const override { return "external"; }
  /// Nothing: mpirun and the worker are the person's, perhaps of another build.
  [[nodiscard]] Status check() const override { return {}; }
  [[nodiscard]] std::string command(const LaunchRequest& request) const override {
    std::vector<std::string> words = {"mpirun"};
    if (::geteuid() == 0) words.emplace_back("--allow-run-as-root");
    for (const std::string& word :
         {std::string("--oversubscribe"), std::string("--bind-to"), std::string("none"), std::string("-np"),
          std::to_string(request.workers), command_.worker.string(), std::string("--join"), command_.run.string()})
      words.push_back(word);
    return shell_quote(words);
  }
  Result<std::unique_ptr<WorkerGroup>> start(const LaunchRequest&) override {
    return std::unique_ptr<WorkerGroup>(std::make_unique<ExternalGroup>());
  }
  [[nodiscard]] bool restarts() const override { return false; }

 private:
  WorkerCommand command_;
};

}  // namespace

std::unique_ptr<Launcher> make_external_launcher(WorkerCommand command) {
  return std::make_unique<ExternalLauncher>(std::move(command));
}

}  // namespace plumbline
