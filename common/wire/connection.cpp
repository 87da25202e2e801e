#include "common/wire/connection.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

namespace plumbline {

namespace {

constexpr const char* kWhere = "control plane";

std::string reason(int error) { return std::generic_category().message(error); }

enum class Wait { kReady, kTimedOut };

/// Until the socket is ready for `events`, has failed (the next call on it says how), or the deadline has passed.
Wait wait_for(int socket, short events, Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd polled{socket, events, 0};
    const int ready = ::poll(&polled, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30)));
    if (ready > 0) return Wait::kReady;
    if (ready == 0) return Wait::kTimedOut;
    if (errno != EINTR) return Wait::kReady;
  }
}

/// A connected socket; an empty one with `error` set otherwise.
FileDescriptor connect_to(const addrinfo& address, Deadline deadline, int& error) {
  FileDescriptor socket(::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  error = 0;
  if (!socket || ::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0) error = errno;
  if (socket && (error == EINPROGRESS || error == EINTR)) {
    socklen_t size = sizeof error;
    if (wait_for(socket.get(), POLLOUT, deadline) == Wait::kTimedOut)
      error = ETIMEDOUT;
    else if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
      error = errno;
  }
  if (error != 0) return {};
  const int on = 1;  // small messages go at once; without it they would only be slower
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

std::string place_of(const std::string& host, int port) { return host + ":" + std::to_string(port); }

using Addresses = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;
Result<Addresses> addresses_of(const std::string& host, int port, int flags) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = flags;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found))
    return environment_error(std::string("the host is not known: ") + ::gai_strerror(error), place_of(host, port));
  return Addresses(found, ::freeaddrinfo);
}

Error lost(const std::string& why) { return run_error("the connection was lost: " + why, kWhere); }

}  // namespace

Result<FileDescriptor> connect_to_host(const std::string& host, int port, Deadline deadline) {
  PLUMBLINE_ASSIGN(const Addresses addresses, addresses_of(host, port, /*flags=*/0));
  int error = 0;
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next)
    if (FileDescriptor socket = connect_to(*address, deadline, error)) return socket;
  return environment_error("nobody answers: " + reason(error), place_of(host, port));
}

Result<ListeningSocket> listen_on(const std::string& host, int port) {
  PLUMBLINE_ASSIGN(const Addresses addresses, addresses_of(host, port, AI_PASSIVE));
  const addrinfo& address = *addresses;
  ListeningSocket listening;
  listening.socket = FileDescriptor(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (!listening.socket || ::bind(listening.socket.get(), address.ai_addr, address.ai_addrlen) != 0 ||
      ::listen(listening.socket.get(), SOMAXCONN) != 0 ||
      ::getsockname(listening.socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return environment_error("this machine cannot be listened on: " + reason(errno), place_of(host, port));
  listening.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                                     : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  return listening;
}

Result<Connection> Connection::open(const std::string& host, int port, Deadline deadline) {
  PLUMBLINE_ASSIGN(FileDescriptor socket, connect_to_host(host, port, deadline));
  return Connection(std::move(socket));
}

Status Connection::send(const Frame& frame, Deadline deadline) {
  PLUMBLINE_ASSIGN(const std::string bytes, encode_frame(frame));
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t sent = ::send(socket_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent > 0) {
      at += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (wait_for(socket_.get(), POLLOUT, deadline) == Wait::kTimedOut) return lost("the other end does not read");
    } else if (errno != EINTR) {
      return lost(reason(errno));
    }
  }
  return {};
}

Result<std::optional<Frame>> Connection::receive(Deadline deadline) {
  std::array<char, 1 << 16> block{};
  for (;;) {
    PLUMBLINE_ASSIGN(std::optional<Frame> frame, take_frame());
    if (frame) return frame;
    if (wait_for(socket_.get(), POLLIN, deadline) == Wait::kTimedOut) return std::optional<Frame>();
    const ssize_t got = ::recv(socket_.get(), block.data(), block.size(), 0);
    if (got > 0) {
      arrived_.append(block.data(), static_cast<std::size_t>(got));
    } else if (got == 0 || errno == ECONNRESET || errno == EPIPE) {
      hung_up_ = true;
      return lost("the other end hung up");
    } else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
      return lost(reason(errno));
    }
  }
}

Result<std::optional<Frame>> Connection::take_frame() {
  if (arrived_.size() < kFrameHeaderBytes) return std::optional<Frame>();
  std::array<std::byte, kFrameHeaderBytes> raw{};
  std::memcpy(raw.data(), arrived_.data(), raw.size());
  PLUMBLINE_ASSIGN(const FrameHeader header, decode_header(raw));
  if (arrived_.size() < kFrameHeaderBytes + header.payload_bytes) return std::optional<Frame>();
  Frame frame{header.type, header.generation, arrived_.substr(kFrameHeaderBytes, header.payload_bytes)};
  PLUMBLINE_TRY(verify_payload(raw, header, frame.payload));
  arrived_.erase(0, kFrameHeaderBytes + header.payload_bytes);
  return std::optional<Frame>(std::move(frame));
}

}  // namespace plumbline
