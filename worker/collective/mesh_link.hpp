// One connection of a mesh: bytes as they are within one machine, TLS 1.3 under the generation's key between hosts.
// Never waits; where a call cannot go on it says what to poll for. One thread.
#pragma once
#include <poll.h>

#include <chrono>
#include <cstdint>
#include <optional>

#include "common/wire/secure_stream.hpp"

namespace plumbline {

class MeshLink {
 public:
  MeshLink() = default;  ///< none
  /// `socket` is connected and non-blocking.
  explicit MeshLink(FileDescriptor socket) : socket_(std::move(socket)) {}
  /// Has shaken hands.
  explicit MeshLink(SecureStream stream) : secure_(std::move(stream)) {}

  struct Step {
    std::int64_t bytes = 0;  ///< moved
    short wait = 0;          ///< where none: POLLIN or POLLOUT
    bool lost = false;       ///< the connection has ended
  };
  /// After a step that waits the same bytes are to be written again. `more` follows at once.
  Step write(const char* from, std::int64_t bytes, bool more);
  Step read(char* to, std::int64_t bytes);

  /// Lets the other end's host be asked, where it says nothing, often enough for silence() to be told within `limit`.
  void ask_when_silent(std::chrono::milliseconds limit) const;
  /// Since anything came from the other end's host, its acknowledgements too: a process that is busy, or stopped, is
  /// not silent by this. Zero where the system does not know.
  [[nodiscard]] std::chrono::milliseconds silence() const;

  [[nodiscard]] explicit operator bool() const { return secure_ || socket_; }
  [[nodiscard]] int descriptor() const { return secure_ ? secure_->descriptor() : socket_.get(); }
  void close() {
    secure_.reset();
    socket_.close();
  }

 private:
  FileDescriptor socket_;
  std::optional<SecureStream> secure_;
};

}  // namespace plumbline
