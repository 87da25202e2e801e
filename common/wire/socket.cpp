#include "common/wire/socket.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

namespace plumbline {

namespace {

/// A connected socket; an empty one with `error` set otherwise.
FileDescriptor connect_to(const addrinfo& address, Deadline deadline, int& error) {
  FileDescriptor socket(::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  error = 0;
  if (!socket || ::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0) error = errno;
  if (socket && (error == EINPROGRESS || error == EINTR)) {
    socklen_t size = sizeof error;
    if (wait_for(socket.get(), Readiness::kWritable, deadline) == Wait::kTimedOut)
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

}  // namespace

Wait wait_for(int descriptor, Readiness readiness, Deadline deadline) {
  const short events = readiness == Readiness::kReadable ? POLLIN : POLLOUT;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd polled{descriptor, events, 0};
    const int ready = ::poll(&polled, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30)));
    if (ready > 0) return Wait::kReady;
    if (ready == 0) return Wait::kTimedOut;
    if (errno != EINTR) return Wait::kReady;
  }
}

Result<FileDescriptor> connect_to_host(const std::string& host, int port, Deadline deadline) {
  PLUMBLINE_ASSIGN(const Addresses addresses, addresses_of(host, port, /*flags=*/0));
  int error = 0;
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next)
    if (FileDescriptor socket = connect_to(*address, deadline, error)) return socket;
  return environment_error("nobody answers: " + system_reason(error), place_of(host, port));
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
    return environment_error("this machine cannot be listened on: " + system_reason(errno), place_of(host, port));
  listening.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                                     : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  return listening;
}

std::string system_reason(int error) { return std::generic_category().message(error); }

}  // namespace plumbline
