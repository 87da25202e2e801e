// A worker's side of the control plane: two threads beside the one that trains. The reader keeps the newest lease and
// the newest commit (so nothing piles up); the other says every heartbeat_ms how far the worker is. When the connection
// is lost the worker has no business going on: on_lost is called, on the reader's thread, and must not return. at(),
// send() and leave() may be called from any thread; the waits from the training thread.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/core/result.hpp"
#include "common/wire/client.hpp"

namespace plumbline {

struct SessionOptions {
  std::chrono::milliseconds heartbeat{250}, timeout{60'000};
  std::function<void(const Error&)> on_lost;
};

class Session {
 public:
  /// Connects and proves the secret. Errors as ControlClient::connect.
  static Result<std::unique_ptr<Session>> join(const std::filesystem::path& run_dir, Hello hello,
                                               SessionOptions options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  [[nodiscard]] const Welcome& welcome() const { return client_.welcome(); }
  /// What heartbeats say from now on.
  void at(std::int64_t step, std::string phase);
  Status send(const Message& message);
  /// Waits until a lease reaches beyond `step`, or the last one ends at it.
  [[nodiscard]] Lease lease_beyond(std::int64_t step);
  /// Waits until the coordinator has committed the checkpoint of `step`; the weights' SHA-256.
  [[nodiscard]] std::string committed(std::int64_t step);
  /// The identifier of a NCCL group that rank 0 made, relayed by the coordinator.
  [[nodiscard]] std::string nccl_id();
  /// From now on the end of the connection is expected. Stops the threads.
  void leave();

 private:
  Session(ControlClient client, SessionOptions options);
  void read();
  void beat();

  ControlClient client_;
  SessionOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool leaving_ = false;
  Heartbeat heartbeat_{0, "starting"};
  std::optional<Lease> lease_;
  std::optional<Committed> committed_;
  std::optional<std::string> nccl_id_;
  std::thread reader_, beater_;
};

}  // namespace plumbline
