// A coordinator for the worker's own test: accepts a group, grants one lease, commits checkpoints, and keeps what it
// was told. One thread; ends when every worker has hung up.
#pragma once
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/core/files.hpp"
#include "common/data/plan.hpp"
#include "common/record/checkpoint_manifest.hpp"
#include "common/record/run_layout.hpp"
#include "common/wire/connection.hpp"
#include "common/wire/message.hpp"

namespace plumbline {

class FakeCoordinator {
 public:
  struct Script {
    int world = 1, lanes = 12;
    std::string resume_from = {};
    std::int64_t start_step = 0, end_step = 0;
    bool stop = false;
    bool hang_up = false;  ///< close the connections instead of granting a lease
    /// Checkpoints that are not committed before a later step was reported: step -> that step.
    std::map<std::int64_t, std::int64_t> withheld = {};
    std::int64_t make_up = -1;
  };
  struct Told {
    int rank;
    Message message;
  };

  explicit FakeCoordinator(const RunLayout& layout) : layout_(layout), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 64), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    std::filesystem::remove(layout.secret());
    write_secret(layout).value();
    context_ = TlsContext::make(read_secret(layout).value()).value();
    CoordinatorAddress where;
    where.host = "127.0.0.1";
    where.port = ntohs(address.sin_port);
    where.generation = kGeneration;
    where.pid = getpid();
    write_address(layout, where).value();
  }
  FakeCoordinator(const FakeCoordinator&) = delete;
  FakeCoordinator& operator=(const FakeCoordinator&) = delete;
  ~FakeCoordinator() { close(listener_); }

  /// What all workers said, in the order of arrival, and the commits that they were told (of rank -1).
  std::vector<Told> serve(const Script& script) {
    withheld_ = script.withheld;
    welcome(script);
    if (script.hang_up) {
      workers_.clear();
      return {};
    }
    for (auto& [rank, worker] : workers_) {
      const LaneRange lanes = lanes_of(rank, script.world, script.lanes);
      Lease lease;
      lease.id = LeaseId(1);
      lease.first_step = script.start_step;
      lease.end_step = script.end_step;
      lease.lane_begin = lanes.begin;
      lease.lane_end = lanes.end;
      lease.last = true;
      lease.stop = script.stop;
      send(worker, lease);
    }
    std::vector<Told> told;
    while (!workers_.empty()) {
      std::vector<pollfd> polled;
      std::vector<int> ranks;
      for (auto& [rank, worker] : workers_) {
        polled.push_back({worker.stream().descriptor(), POLLIN, 0});
        ranks.push_back(rank);
      }
      if (poll(polled.data(), polled.size(), 60'000) <= 0) {
        ADD_FAILURE() << "the workers said nothing for a minute";
        break;
      }
      for (std::size_t i = 0; i < ranks.size(); ++i)
        if (polled[i].revents != 0) hear_out(ranks[i], told);
    }
    return told;
  }

 private:
  static constexpr Generation kGeneration{1};

  /// All that a worker has said so far; one that has hung up goes.
  void hear_out(int rank, std::vector<Told>& told) {
    for (;;) {
      const auto frame = workers_.at(rank).receive(std::chrono::steady_clock::now());
      if (frame.has_error()) {
        workers_.erase(rank);
        return;
      }
      if (!frame.value()) return;
      Message message = from_frame(*frame.value()).value();
      if (const auto* part = std::get_if<PartWritten>(&message)) keep_part(*part);
      if (const auto* done = std::get_if<StepDone>(&message)) newest_ = std::max(newest_, done->step);
      told.push_back({rank, std::move(message)});
      commit_what_is_complete(told);
    }
  }

  void welcome(const Script& script) {
    while (static_cast<int>(workers_.size()) < script.world) {
      pollfd polled{listener_, POLLIN, 0};
      if (poll(&polled, 1, 60'000) <= 0) {
        ADD_FAILURE() << "no worker came for a minute";
        return;
      }
      SecureStream stream(FileDescriptor(accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)), *context_,
                          TlsSide::kServer);
      EXPECT_TRUE(stream.shake_hands(soon()).has_value());
      Connection worker(std::move(stream));
      const auto frame = worker.receive(soon());
      const Result<Message> message =
          frame.has_value() && frame.value() ? from_frame(*frame.value()) : Result<Message>(run_error("no frame"));
      const auto* hello = message.has_value() ? std::get_if<Hello>(&message.value()) : nullptr;
      if (hello == nullptr) {
        ADD_FAILURE() << "a worker did not say hello";
        return;
      }
      EXPECT_EQ(hello->world, script.world);
      EXPECT_NE(hello->fingerprint.find("reproducible"), std::string::npos);
      EXPECT_FALSE(hello->group.empty());
      groups_.insert(hello->group);
      workers_.insert_or_assign(hello->rank, std::move(worker));
    }
    EXPECT_EQ(groups_.size(), 1u) << "all ranks of one launch share the group";
    for (auto& [rank, worker] : workers_) {
      send(worker, Welcome{kGeneration, /*under_way=*/false});
      Assignment assignment;
      assignment.generation = kGeneration;
      assignment.rank = rank, assignment.world = script.world;
      assignment.resume_from = script.resume_from;
      assignment.start_step = script.start_step, assignment.make_up = script.make_up;
      if (!script.resume_from.empty())
        assignment.recorded = assignment.checkpointed = assignment.measured = assignment.pictured = script.start_step;
      send(worker, assignment);
    }
  }

  void keep_part(const PartWritten& part) {
    CheckpointManifest& manifest = manifests_[part.step];
    manifest.step = Step(part.step);
    manifest.files.push_back({part.file, part.bytes, part.sha256});
    parts_ = part.parts;
  }
  void commit_what_is_complete(std::vector<Told>& told) {
    for (auto next = manifests_.begin(); next != manifests_.end();) {
      auto& [step, manifest] = *next;
      const bool complete = static_cast<int>(manifest.files.size()) == parts_;
      if (!complete || (withheld_.contains(step) && newest_ < withheld_.at(step))) {
        ++next;
        continue;
      }
      std::sort(manifest.files.begin(), manifest.files.end(),
                [](const auto& a, const auto& b) { return a.name < b.name; });
      const auto partial = layout_.partial_checkpoint(manifest.step, kGeneration);
      write_manifest(partial, manifest).value();
      std::filesystem::rename(partial, layout_.checkpoint(manifest.step));
      EXPECT_TRUE(verify_checkpoint(layout_.checkpoint(manifest.step)).has_value());
      const Committed committed{step, manifest.weights_sha256()};
      told.push_back({-1, committed});
      for (auto& [rank, worker] : workers_) send(worker, committed);
      next = manifests_.erase(next);
    }
  }

  static Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::minutes(1); }
  /// To one who may be gone already.
  static void send(Connection& worker, const Message& message) {
    static_cast<void>(worker.send(to_frame(message, kGeneration), soon()));
  }

  RunLayout layout_;
  int listener_;
  std::optional<TlsContext> context_;
  std::set<std::string> groups_;
  std::map<int, Connection> workers_;                     ///< by rank
  std::map<std::int64_t, CheckpointManifest> manifests_;  ///< by step, until it is committed
  std::map<std::int64_t, std::int64_t> withheld_;
  int parts_ = 0;
  std::int64_t newest_ = 0;  ///< step that was reported
};

}  // namespace plumbline
