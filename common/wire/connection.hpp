// Frames over one connection under the run's key, with a deadline on every call.
// send() may be called from one thread while receive() runs in another; each from one thread at a time.
#pragma once
#include <optional>
#include <string>

#include "common/core/result.hpp"
#include "common/wire/frame.hpp"
#include "common/wire/secure_stream.hpp"

namespace plumbline {

class Connection {
 public:
  /// `stream` has shaken hands.
  explicit Connection(SecureStream stream) : stream_(std::move(stream)) {}

  /// All of the frame, or an error; after an error the connection must not be used again.
  Status send(const Frame& frame, Deadline deadline);

  /// The next whole and valid frame; nothing at the deadline (what has arrived of a frame is kept for the next call).
  Result<std::optional<Frame>> receive(Deadline deadline);
  /// After receive() failed: whether that was because the peer hung up.
  [[nodiscard]] bool hung_up() const { return stream_.end() == TlsEnd::kHungUp; }

  [[nodiscard]] SecureStream& stream() { return stream_; }

 private:
  SecureStream stream_;
  FrameBuffer arrived_;
};

}  // namespace plumbline
