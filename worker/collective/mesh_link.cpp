#include "worker/collective/mesh_link.hpp"

#include <sys/socket.h>

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

}  // namespace plumbline
