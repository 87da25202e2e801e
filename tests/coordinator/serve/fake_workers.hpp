// A launcher whose workers are threads of the test: they speak the real protocol over real sockets, write small but
// real checkpoints, evaluations and snapshot parts, and do what a script tells them to do wrong.
#pragma once
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "common/core/files.hpp"
#include "common/record/evaluation.hpp"
#include "common/record/snapshot.hpp"
#include "common/wire/client.hpp"
#include "coordinator/launch/launch.hpp"

namespace plumbline {

/// What the workers do, shared with the test; may change while they run.
struct WorkerScript {
  std::int64_t checkpoint_every = 4;
  std::int64_t probe_rows = 0;
  std::vector<std::string> norms;
  std::set<std::pair<std::uint64_t, std::int64_t>> deaths;  ///< (generation, step): rank 0 is killed after that step
  std::function<void()> before_death;                       ///< called first
  std::optional<Failed> failure;                            ///< said by rank 0 after its first step
  bool falling = false;                                     ///< desired outputs become less likely with every step
  bool corrupt_part = false;                                ///< what is on disk is not what is reported
  std::string fingerprint = "cpu AVX2";

  /// Rank 0 takes no step beyond this.
  void allow(std::int64_t step) {
    const std::lock_guard lock(mutex);
    allowed = step;
    changed.notify_all();
  }
  std::mutex mutex;
  std::condition_variable changed;
  std::int64_t allowed = 1'000'000;
};

class FakeGroup final : public WorkerGroup {
 public:
  FakeGroup(const RunLayout& layout, WorkerScript& script, const LaunchRequest& request, bool supervised)
      : layout_(layout), script_(script), request_(request), supervised_(supervised), ended_(eventfd(0, EFD_CLOEXEC)) {
    running_ = request.workers;
    for (int rank = 0; rank < request.workers; ++rank) threads_.emplace_back([this, rank] { work(rank); });
  }
  ~FakeGroup() override {
    terminate();
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
    close(ended_);
  }
  [[nodiscard]] int pidfd() const override { return supervised_ ? ended_ : -1; }
  [[nodiscard]] std::int64_t pid() const override { return supervised_ ? getpid() : 0; }
  GroupExit wait() override {
    for (auto& thread : threads_) thread.join();
    return {status_, "exited with status " + std::to_string(status_)};
  }
  void terminate() override {
    const std::lock_guard lock(script_.mutex);
    ending_ = true;
    script_.changed.notify_all();
  }
  void kill() override { terminate(); }
  void let_go() override {}

 private:
  static constexpr std::chrono::milliseconds kPatience{20'000}, kLook{5};

  void work(int rank) {
    const int status = join_and_train(rank);
    int none = 0;
    if (status != 0) status_.compare_exchange_strong(none, status);
    if (status != 0) terminate();  // As mpirun does: one gone, all go.
    if (--running_ > 0) return;
    const std::uint64_t one = 1;
    static_cast<void>(::write(ended_, &one, sizeof one) == 0);
  }
  int join_and_train(int rank) {
    Hello hello;
    hello.rank = rank, hello.world = request_.workers, hello.host = "here", hello.pid = 1000 + rank;
    hello.group = request_.group, hello.fingerprint = script_.fingerprint;
    auto client = ControlClient::connect(layout_.root(), hello, kPatience);
    if (client.has_error()) return static_cast<int>(client.error().code);
    const auto assignment = await_assignment(*client);
    if (!assignment) return 143;
    client->speak_in(assignment->generation);
    return rank == 0 ? lead(*client, *assignment) : follow(*client, *assignment);
  }
  /// Nothing when the group is ended or the connection lost.
  std::optional<Assignment> await_assignment(ControlClient& client) {
    while (!ending_) {
      const auto message = client.receive(kLook);
      if (message.has_error()) return std::nullopt;
      if (!message.value()) continue;
      if (const auto* assignment = std::get_if<Assignment>(&**message)) return *assignment;
    }
    return std::nullopt;
  }

  /// Reads until `condition` holds; false when the group is ended or the connection lost.
  template <class Condition>
  bool read_until(ControlClient& client, Lease& lease, std::int64_t& committed, const Condition& condition) {
    while (!condition()) {
      if (ending_) return false;
      const auto message = client.receive(kLook);
      if (message.has_error()) return false;
      if (!message.value()) {
        if (client.send(Heartbeat{0, "training"}).has_error()) return false;
        continue;
      }
      if (const auto* granted = std::get_if<Lease>(&**message)) lease = *granted;
      if (const auto* done = std::get_if<Committed>(&**message)) committed = done->step;
    }
    return !ending_;
  }
  /// False when the group is ended while it waits.
  bool wait_for_leave(std::int64_t step) {
    std::unique_lock lock(script_.mutex);
    script_.changed.wait(lock, [&] { return ending_ || script_.allowed >= step; });
    return !ending_;
  }

  /// Rank 0. Its exit status.
  int lead(ControlClient& client, const Assignment& assignment) {
    std::int64_t step = assignment.start_step, committed = assignment.resume_from.empty() ? -1 : step;
    if (!assignment.resume_from.empty() &&
        !std::filesystem::exists(layout_.root() / assignment.resume_from / "MANIFEST.json"))
      return 3;
    Lease lease;
    for (;;) {
      if (!read_until(client, lease, committed, [&] { return lease.end_step > step || lease.last; })) return 143;
      if (step >= lease.end_step) return finish(client, assignment.generation, lease, step, committed);
      if (!wait_for_leave(step + 1)) return 143;
      ++step;
      Json norms = Json::object();
      for (const auto& norm : script_.norms) norms[norm] = {{"loss", 1.0 / static_cast<double>(step)}};
      static_cast<void>(client.send(StepDone{step,
                                             {{"kind", "train"},
                                              {"step", step},
                                              {"loss", 1.0 / static_cast<double>(step)},
                                              {"seconds", 0.01},
                                              {"tokens_per_second", 100.0},
                                              {"norms", norms}}}));
      if (script_.falling)
        static_cast<void>(client.send(
            StepDone{step,
                     {{"kind", "heldout"},
                      {"step", step},
                      {"norms", {{script_.norms.front(), {{"logps/chosen", -10.0 * static_cast<double>(step)}}}}}}}));
      if (script_.failure) {
        static_cast<void>(client.send(*script_.failure));
        return script_.failure->code;
      }
      if (script_.deaths.contains({assignment.generation.value(), step})) {
        if (script_.before_death) script_.before_death();
        return 137;
      }
      if (step % script_.checkpoint_every == 0 && !save(client, assignment.generation, lease, step, committed))
        return 143;
    }
  }
  bool save(ControlClient& client, Generation generation, Lease& lease, std::int64_t step, std::int64_t& committed) {
    if (committed == step) return true;
    const auto folder = layout_.partial_checkpoint(Step(step), generation);
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    for (const std::string file : {"model.safetensors", "state.json"}) {
      const std::string content = file + " of step " + std::to_string(step);
      if (write_file_atomically(folder / file, content).has_error()) return false;
      static_cast<void>(client.send(
          PartWritten{step, file, content.size(), sha256_hex(content + (script_.corrupt_part ? "!" : "")), 2}));
    }
    return read_until(client, lease, committed, [&] { return committed >= step; });
  }
  int finish(ControlClient& client, Generation generation, Lease lease, std::int64_t step, std::int64_t committed) {
    if (!save(client, generation, lease, step, committed)) return 143;
    if (!lease.stop) {
      std::filesystem::create_directories(layout_.evaluation());
      for (const std::int64_t at : {std::int64_t{0}, step}) {
        std::vector<EvaluationRow> rows;
        for (const auto& norm : script_.norms) {
          EvaluationRow row;
          row.row = static_cast<std::int64_t>(rows.size()), row.id = "0", row.norm = norm, row.source = "a",
          row.desired = "b";
          row.output = at == 0 ? "a" : "b";
          rows.push_back(std::move(row));
        }
        if (write_evaluation(layout_.evaluation_rows(Step(at)), rows).has_error()) return 4;
      }
      if (!picture(client, 0, step)) return 4;
    }
    static_cast<void>(client.send(Finished{step}));
    return 0;
  }
  int follow(ControlClient& client, const Assignment& assignment) {
    Lease lease;
    std::int64_t committed = assignment.start_step;
    if (!read_until(client, lease, committed, [&] { return lease.last && committed >= lease.end_step; })) return 143;
    if (!lease.stop && !picture(client, assignment.rank, committed)) return 4;
    static_cast<void>(client.send(Finished{committed}));
    return 0;
  }
  bool picture(ControlClient& client, int rank, std::int64_t step) {
    Snapshot part;
    part.step = step, part.dimension = 2;
    for (std::int64_t probe = rank; probe < script_.probe_rows; probe += request_.workers) {
      part.probe_index.push_back(probe), part.ids.push_back({static_cast<std::uint64_t>(probe), 1}),
          part.norms.push_back(0);
      part.vectors.insert(part.vectors.end(), {static_cast<float>(probe), 1.0f});
    }
    const auto file = layout_.snapshot_part(Step(step), rank);
    std::filesystem::create_directories(file.parent_path());
    const std::lock_guard lock(script_.mutex);  // HDF5 is not to be entered twice at once.
    if (write_snapshot(file, part).has_error()) return false;
    return client.send(Artifact{"snapshot_part", step, file.lexically_relative(layout_.root()).string()}).has_value();
  }

  RunLayout layout_;
  WorkerScript& script_;
  LaunchRequest request_;
  bool supervised_;
  int ended_;
  std::atomic<bool> ending_ = false;
  std::atomic<int> status_ = 0, running_ = 0;
  std::vector<std::thread> threads_;
};

class FakeLauncher final : public Launcher {
 public:
  FakeLauncher(RunLayout layout, WorkerScript& script, bool supervised = true)
      : layout_(std::move(layout)), script_(script), supervised_(supervised) {}
  [[nodiscard]] std::string name() const override { return "fake"; }
  [[nodiscard]] Status check() const override { return {}; }
  [[nodiscard]] std::string command(const LaunchRequest&) const override { return "mpirun the-workers"; }
  Result<std::unique_ptr<WorkerGroup>> start(const LaunchRequest& request) override {
    LaunchRequest own = request;
    if (!supervised_) own.group = std::string(32, 'a');
    return std::unique_ptr<WorkerGroup>(std::make_unique<FakeGroup>(layout_, script_, own, supervised_));
  }
  [[nodiscard]] bool restarts() const override { return supervised_; }

 private:
  RunLayout layout_;
  WorkerScript& script_;
  bool supervised_;
};

}  // namespace plumbline
