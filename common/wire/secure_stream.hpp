// A TCP connection under the run's key, with a deadline on every call: what the control plane and workers between
// themselves speak over. One thread may read while another writes; each from one thread at a time. Waiting holds no
// lock.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/core/file_descriptor.hpp"
#include "common/core/result.hpp"
#include "common/wire/socket.hpp"
#include "common/wire/tls.hpp"

namespace plumbline {

class SecureStream {
 public:
  /// Connects and shakes hands. Errors: connect_to_host's; a run error when the handshake fails, and then `end`, where
  /// given, says why (kNone: it took longer than the deadline).
  static Result<SecureStream> connect(const std::string& host, int port, const TlsContext& context, Deadline deadline,
                                      TlsEnd* end = nullptr);
  /// Around a connected, non-blocking socket. shake_hands() comes first.
  SecureStream(FileDescriptor socket, const TlsContext& context, TlsSide side);

  /// Both ends have proved the key when it returns. A run error when that fails or the deadline passes.
  Status shake_hands(Deadline deadline);
  /// At least one byte, how many; 0 at the deadline. A run error when the connection has ended.
  Result<std::size_t> read_some(std::span<char> to, Deadline deadline);
  /// All of it; a run error when the connection has ended or the other end does not read by the deadline. After an
  /// error nothing more may be written.
  Status write_all(std::string_view bytes, Deadline deadline);
  /// Tells the other end that nothing follows; the destructor does not.
  void say_goodbye() { session_->say_goodbye(); }

  /// For loops that serve several streams at once: the steps that do not wait, and what to wait on.
  [[nodiscard]] TlsSession& session() { return *session_; }
  [[nodiscard]] int descriptor() const { return socket_.get(); }
  [[nodiscard]] TlsEnd end() const { return session_->end(); }
  /// This end's address, as the other end may see it: "10.0.0.7"; empty where the system does not say.
  [[nodiscard]] std::string local_address() const;

 private:
  FileDescriptor socket_;
  std::unique_ptr<TlsSession> session_;
};

}  // namespace plumbline
