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

Result<FileDescriptor> connect_tcp(const std::string& host, int port, Deadline deadline) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string service = std::to_string(port), place = host + ":" + service;
  if (const int error = ::getaddrinfo(host.c_str(), service.c_str(), &wanted, &found))
    return environment_error(std::string("the host is not known: ") + ::gai_strerror(error), place);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  int error = 0;
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next)
    if (FileDescriptor socket = connect_to(*address, deadline, error)) return socket;
  return environment_error("nobody answers: " + system_reason(error), place);
}

std::string system_reason(int error) { return std::generic_category().message(error); }

}  // namespace plumbline
