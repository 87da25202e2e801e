// Frames over one TCP socket, with a deadline on every call. The socket is non-blocking and never raises SIGPIPE.
// send() may be called from one thread while receive() runs in another; each from one thread at a time.
#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "common/core/file_descriptor.hpp"
#include "common/core/result.hpp"
#include "common/wire/frame.hpp"

namespace plumbline {

using Deadline = std::chrono::steady_clock::time_point;

/// A connected socket, non-blocking, to the first address of the host that accepts before the deadline; an environment
/// error when none does.
Result<FileDescriptor> connect_to_host(const std::string& host, int port, Deadline deadline);

struct ListeningSocket {
  FileDescriptor socket;  ///< non-blocking
  int port = 0;
};
/// Listens on an address of this machine; port 0: any free one. An environment error names both.
Result<ListeningSocket> listen_on(const std::string& host, int port);

class Connection {
 public:
  /// Tries each address of the host; an environment error when none accepts in time.
  static Result<Connection> open(const std::string& host, int port, Deadline deadline);
  explicit Connection(FileDescriptor socket) : socket_(std::move(socket)) {}

  /// All of the frame, or an error; after an error the connection must not be used again.
  Status send(const Frame& frame, Deadline deadline);

  /// The next whole and valid frame; nothing at the deadline (what has arrived of a frame is kept for the next call).
  Result<std::optional<Frame>> receive(Deadline deadline);
  /// After receive() failed: whether that was because the peer hung up.
  [[nodiscard]] bool hung_up() const { return hung_up_; }

 private:
  /// Takes a whole frame out of what has arrived.
  Result<std::optional<Frame>> take_frame();

  FileDescriptor socket_;
  std::string arrived_;
  bool hung_up_ = false;
};

}  // namespace plumbline
