#include "worker/collective/mesh_link.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace plumbline {

namespace {

MeshLink::Step step_of(const Result<TlsSession::Step>& moved) {
  if (moved.has_error()) return {.bytes = 0, .wait = 0, .lost = true};
  const short wait = !moved->wait ? short{0} : *moved->wait == Readiness::kReadable ? short{POLLIN} : short{POLLOUT};
  return {.bytes = static_cast<std::int64_t>(moved->bytes), .wait = wait, .lost = false};
}

MeshLink::Step step_of(ssize_t moved, short wait) {
  if (moved > 0) return {.bytes = moved, .wait = 0, .lost = false};
  const bool waits = moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  return {.bytes = 0, .wait = waits ? wait : short{0}, .lost = !waits};
}

}  // namespace

MeshLink::Step MeshLink::write(const char* from, std::int64_t bytes, bool more) {
  const auto size = static_cast<std::size_t>(bytes);
  if (secure_) return step_of(secure_->session().write_some({from, size}));
  return step_of(::send(socket_.get(), from, size, MSG_NOSIGNAL | (more ? MSG_MORE : 0)), POLLOUT);
}

MeshLink::Step MeshLink::read(char* to, std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(bytes);
  if (secure_) return step_of(secure_->session().read_some({to, size}));
  return step_of(::recv(socket_.get(), to, size, 0), POLLIN);
}

void MeshLink::ask_when_silent(std::chrono::milliseconds limit) const {
  const int on = 1, seconds = std::max(1, static_cast<int>(limit.count() / 4'000)), most = 127;
  ::setsockopt(descriptor(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(descriptor(), IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
  ::setsockopt(descriptor(), IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
  ::setsockopt(descriptor(), IPPROTO_TCP, TCP_KEEPCNT, &most, sizeof most);  // Whether it is too many, we say.
}

std::chrono::milliseconds MeshLink::silence() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(descriptor(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  return std::chrono::milliseconds(std::min(info.tcpi_last_ack_recv, info.tcpi_last_data_recv));
}

}  // namespace plumbline
