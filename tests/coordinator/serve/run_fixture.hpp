// A run directory over a tiny dataset, and a coordinator that serves it on a thread of the test.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "common/data/plan.hpp"
#include "coordinator/serve/servable_run.hpp"
#include "tests/common/plan/tiny_dataset.hpp"
#include "tests/coordinator/serve/fake_workers.hpp"

namespace plumbline {

class RunFixture : public testing::Test {
 protected:
  RunFixture() : layout(folder.path() / "run") {
    setenv("PLUMBLINE_WORKER_PROGRAM", "/bin/true", 1);  // create_run looks whether there is one
    const Dataset dataset = TinyDataset(40).write(folder.path() / "data");
    config.name = "tiny";
    config.seed = 5;
    config.data = (folder.path() / "data").string();
    config.train.steps = 12, config.train.global_batch = 24;
    config.checkpoint.every = 4, config.checkpoint.keep = 2;
    config.snapshot.examples = 6;
    for (const Norm& norm : dataset.info().norms) script.norms.push_back(norm.name);
    script.probe_rows =
        static_cast<std::int64_t>(probe_rows(dataset.held_out(), script.norms.size(), 6, config.seed).size());
  }
  ~RunFixture() override {
    script.allow(1'000'000);
    if (served.valid()) served.wait();
  }

  Result<RunOutcome> serve(int workers = 2, bool supervised = true) {
    PLUMBLINE_ASSIGN(ServableRun run,
                     open_run(layout, config, workers, std::make_unique<FakeLauncher>(layout, script, supervised)));
    PLUMBLINE_TRY(settle_checkpoint(run));
    run.tick = std::chrono::milliseconds(5);
    run.limits = limits;
    run.admission = admission;
    Coordinator coordinator(std::move(run));
    return coordinator.serve();
  }
  void start_serving(int workers = 2, bool supervised = true) {
    served = std::async(std::launch::async, [=, this] { return serve(workers, supervised); });
  }
  /// What a command-line client is told; asked again until `enough` of it is, for kPatience at most.
  template <class Enough>
  Json status_when(const Enough& enough) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    const auto in_time = [&] { return std::chrono::steady_clock::now() < deadline; };
    while (in_time()) {
      auto client = ControlClient::connect(layout.root(), client_hello(), kPatience);
      if (client.has_error()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // it is starting, or just gone
        continue;
      }
      while (in_time() && client->send(StatusRequest{}).has_value()) {
        const auto reply = client->receive(kPatience);
        if (reply.has_error() || !reply.value()) break;
        Json status = std::get<StatusReply>(**reply).status;
        if (enough(status)) return status;
      }
    }
    ADD_FAILURE() << "the status never came";
    return {};
  }
  Json status_at(std::int64_t step) {
    return status_when(
        [&](const Json& status) { return status.at("step") == step && status.at("workers").size() == 2; });
  }
  Result<std::string> stop() {
    PLUMBLINE_ASSIGN(ControlClient client, ControlClient::connect(layout.root(), client_hello(), kPatience));
    PLUMBLINE_TRY(client.send(StopRequest{}));
    PLUMBLINE_ASSIGN(const auto reply, client.receive(kPatience));
    return std::get<StopReply>(*reply).message;
  }
  static Hello client_hello() {
    Hello hello;
    hello.role = Role::kClient;
    return hello;
  }
  [[nodiscard]] std::vector<std::string> events() const {
    std::vector<std::string> names;
    for (const auto& entry : read_journal(layout.journal()).value()) names.push_back(entry.event);
    return names;
  }
  [[nodiscard]] std::vector<std::string> checkpoints() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(layout.checkpoints()))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  static constexpr std::chrono::milliseconds kPatience{20'000};
  ScratchFolder folder;
  RunLayout layout;
  RunConfig config;
  WorkerScript script;
  PeerLimits limits;
  AdmissionLimits admission{.strangers = 8,
                            .connections = 16'384,
                            .grace = std::chrono::milliseconds(50),
                            .log_every = std::chrono::milliseconds(0)};
  std::future<Result<RunOutcome>> served;
};

}  // namespace plumbline
