#include "common/wire/secure_stream.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <utility>

namespace plumbline {

namespace {
constexpr const char* kStream = "control plane";
}

Result<SecureStream> SecureStream::connect(const std::string& host, int port, const TlsContext& context,
                                           Deadline deadline, TlsEnd* end) {
  PLUMBLINE_ASSIGN(FileDescriptor socket, connect_to_host(host, port, deadline));
  SecureStream stream(std::move(socket), context, TlsSide::kClient);
  const Status shaken = stream.shake_hands(deadline);
  if (end != nullptr) *end = stream.end();
  if (shaken.has_error()) return shaken.error();
  return stream;
}

SecureStream::SecureStream(FileDescriptor socket, const TlsContext& context, TlsSide side)
    : socket_(std::move(socket)), session_(std::make_unique<TlsSession>(socket_.get(), context, side)) {}

std::string SecureStream::local_address() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  std::array<char, NI_MAXHOST> host{};
  if (::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host.data(), host.size(), nullptr, 0,
                    NI_NUMERICHOST) != 0)
    return {};
  return host.data();
}

Status SecureStream::shake_hands(Deadline deadline) {
  for (;;) {
    PLUMBLINE_ASSIGN(const TlsSession::Step step, session_->handshake());
    if (!step.wait) return {};
    if (wait_for(socket_.get(), *step.wait, deadline) == Wait::kTimedOut)
      return run_error("the other end did not answer in time", kStream);
  }
}

Result<std::size_t> SecureStream::read_some(std::span<char> to, Deadline deadline) {
  for (;;) {
    PLUMBLINE_ASSIGN(const TlsSession::Step step, session_->read_some(to));
    if (!step.wait) return step.bytes;
    if (wait_for(socket_.get(), *step.wait, deadline) == Wait::kTimedOut) return std::size_t{0};
  }
}

Status SecureStream::write_all(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    PLUMBLINE_ASSIGN(const TlsSession::Step step, session_->write_some(bytes));
    bytes.remove_prefix(step.bytes);
    if (step.wait && wait_for(socket_.get(), *step.wait, deadline) == Wait::kTimedOut)
      return run_error("the connection was lost: the other end does not read", kStream);
  }
  return {};
}

}  // namespace plumbline
