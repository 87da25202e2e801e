// A launcher that starts nothing: the test is the workers.
#pragma once
#include <memory>
#include <string>

#include "coordinator/launch/launch.hpp"

namespace plumbline {

class NoLauncher final : public Launcher {
 public:
  [[nodiscard]] std::string name() const override { return "none"; }
  [[nodiscard]] Status check() const override { return {}; }
  [[nodiscard]] std::string command(const LaunchRequest&) const override { return "the-workers"; }
  [[nodiscard]] bool restarts() const override { return false; }
  Result<std::unique_ptr<WorkerGroup>> start(const LaunchRequest&) override {
    struct Nobody final : WorkerGroup {
      [[nodiscard]] int pidfd() const override { return -1; }
      [[nodiscard]] std::int64_t pid() const override { return 0; }
      GroupExit wait() override { return {}; }
      void terminate() override {}
      void kill() override {}
      void let_go() override {}
    };
    return std::unique_ptr<WorkerGroup>(std::make_unique<Nobody>());
  }
};

}  // namespace plumbline
