// A blocking connection to the coordinator, used by workers and by `status` and `stop`. send() may be called from any
// thread; receive() from one. Both ends prove the run's key (tls.hpp) before anything else is said.
#pragma once
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "common/core/result.hpp"
#include "common/wire/message.hpp"

namespace plumbline {

class ControlClient {
 public:
  /// Reads coordinator.json and secret in `run_dir`, connects, says `hello`, waits to be welcomed.
  /// A mesh address of 0.0.0.0 is said as the address by which this connection reaches the coordinator.
  /// Errors: environment error when no coordinator answers; usage error when the secret is refused.
  static Result<ControlClient> connect(const std::filesystem::path& run_dir, Hello hello,
                                       std::chrono::milliseconds timeout);
  ControlClient(ControlClient&&) noexcept;
  ControlClient& operator=(ControlClient&&) noexcept;
  ~ControlClient();

  [[nodiscard]] const Welcome& welcome() const;
  /// Does coordinator.json name another coordinator than this connection's, of this generation or a later one?
  [[nodiscard]] bool is_replaced(const std::filesystem::path& run_dir, Generation generation) const;
  /// From now on what is sent is of this generation: until it is called, of the welcome's. Thread-safe.
  void speak_in(Generation generation);
  Status send(const Message& message);
  /// The next message; nothing at the timeout; an error when the connection ended or a frame was bad. A worker's frame
  /// of another generation than its newest Assignment (before the first: than the welcome) is an error too.
  Result<std::optional<Message>> receive(std::chrono::milliseconds timeout);

 private:
  struct State;
  explicit ControlClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace plumbline
