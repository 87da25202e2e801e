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
    secret_ = read_secret(layout).value();
    CoordinatorAddress where;
    where.host = "127.0.0.1";
    where.port = ntohs(address.sin_port);
    where.generation = kGeneration;
    where.pid = getpid();
    write_address(layout, where).value();
  }
  FakeCoordinator(const FakeCoordinator&) = delete;
  FakeCoordinator& operator=(const FakeCoordinator&) = delete;
  ~FakeCoordinator() {
    for (const auto& [rank, fd] : workers_) close(fd);
    close(listener_);
  }

  /// What all workers said, in the order of arrival.
  std::vector<Told> serve(const Script& script) {
    welcome(script);
    if (script.hang_up) {
      for (const auto& [rank, fd] : workers_) close(fd);
      workers_.clear();
      return {};
    }
    for (const auto& [rank, fd] : workers_) {
      const LaneRange lanes = lanes_of(rank, script.world, script.lanes);
      Lease lease;
      lease.id = LeaseId(1);
      lease.first_step = script.start_step;
      lease.end_step = script.end_step;
      lease.lane_begin = lanes.begin;
      lease.lane_end = lanes.end;
      lease.last = true;
      lease.stop = script.stop;
      send(fd, lease);
    }
    std::vector<Told> told;
    while (!workers_.empty()) {
      std::vector<pollfd> polled;
      for (const auto& [rank, fd] : workers_) polled.push_back({fd, POLLIN, 0});
      if (poll(polled.data(), polled.size(), 60'000) <= 0) {
        ADD_FAILURE() << "the workers said nothing for a minute";
        break;
      }
      const auto workers = workers_;
      std::size_t i = 0;
      for (const auto& [rank, fd] : workers) {
        if (polled[i++].revents == 0) continue;
        auto message = receive(fd);
        if (!message) {
          close(fd);
          workers_.erase(rank);
          continue;
        }
        if (const auto* part = std::get_if<PartWritten>(&*message)) commit_when_complete(*part);
        told.push_back({rank, std::move(*message)});
      }
    }
    return told;
  }

 private:
  static constexpr Generation kGeneration{1};

  void welcome(const Script& script) {
    std::map<int, std::pair<std::string, std::string>> proofs;  // by rank: both nonces
    while (static_cast<int>(workers_.size()) < script.world) {
      pollfd polled{listener_, POLLIN, 0};
      if (poll(&polled, 1, 60'000) <= 0) {
        ADD_FAILURE() << "no worker came for a minute";
        return;
      }
      const int fd = accept(listener_, nullptr, nullptr);
      const std::string nonce = to_hex(random_bytes(16));
      send(fd, Challenge{nonce}, Generation());
      const auto message = receive(fd);
      const auto* hello = message ? std::get_if<Hello>(&*message) : nullptr;
      if (hello == nullptr) {
        ADD_FAILURE() << "a worker did not say hello";
        return;
      }
      EXPECT_TRUE(proofs_equal(hello->proof, hello_proof(secret_, nonce, *hello)));
      EXPECT_EQ(hello->world, script.world);
      EXPECT_NE(hello->fingerprint.find("reproducible"), std::string::npos);
      EXPECT_FALSE(hello->group.empty());
      groups_.insert(hello->group);
      workers_[hello->rank] = fd;
      proofs[hello->rank] = {nonce, hello->nonce};
    }
    EXPECT_EQ(groups_.size(), 1u) << "all ranks of one launch share the group";
    for (const auto& [rank, fd] : workers_) {
      Welcome message;
      message.proof = welcome_proof(secret_, proofs[rank].first, proofs[rank].second);
      message.generation = kGeneration;
      send(fd, message);
    }
    for (const auto& [rank, fd] : workers_) {
      Assignment assignment;
      assignment.generation = kGeneration;
      assignment.rank = rank;
      assignment.world = script.world;
      assignment.resume_from = script.resume_from;
      assignment.start_step = script.start_step;
      assignment.checkpointed = script.resume_from.empty() ? -1 : script.start_step;
      send(fd, assignment);
    }
  }

  void commit_when_complete(const PartWritten& part) {
    CheckpointManifest& manifest = manifests_[part.step];
    manifest.step = Step(part.step);
    manifest.files.push_back({part.file, part.bytes, part.sha256});
    if (static_cast<int>(manifest.files.size()) < part.parts) return;
    std::sort(manifest.files.begin(), manifest.files.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    write_manifest(layout_.partial_checkpoint(manifest.step), manifest).value();
    std::filesystem::rename(layout_.partial_checkpoint(manifest.step), layout_.checkpoint(manifest.step));
    EXPECT_TRUE(verify_checkpoint(layout_.checkpoint(manifest.step)).has_value());
    for (const auto& [rank, fd] : workers_) send(fd, Committed{part.step, manifest.weights_sha256()});
  }

  static void send(int fd, const Message& message, Generation generation = kGeneration) {
    const std::string bytes = encode_frame(to_frame(message, generation)).value();
    for (std::size_t at = 0; at < bytes.size();) {
      const auto sent = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += static_cast<std::size_t>(sent);
    }
  }
  static bool read_exactly(int fd, void* to, std::size_t bytes) {
    for (std::size_t at = 0; at < bytes;) {
      const auto got = recv(fd, static_cast<char*>(to) + at, bytes - at, 0);
      if (got <= 0) return false;
      at += static_cast<std::size_t>(got);
    }
    return true;
  }
  static std::optional<Message> receive(int fd) {
    std::array<std::byte, kFrameHeaderBytes> header_bytes;
    if (!read_exactly(fd, header_bytes.data(), header_bytes.size())) return std::nullopt;
    const FrameHeader header = decode_header(header_bytes).value();
    Frame frame{header.type, header.generation, std::string(header.payload_bytes, '\0')};
    if (!read_exactly(fd, frame.payload.data(), frame.payload.size())) return std::nullopt;
    verify_payload(header_bytes, header, frame.payload).value();
    return from_frame(frame).value();
  }

  RunLayout layout_;
  int listener_;
  std::string secret_;
  std::set<std::string> groups_;
  std::map<int, int> workers_;  ///< rank -> connection
  std::map<std::int64_t, CheckpointManifest> manifests_;
};

}  // namespace plumbline
