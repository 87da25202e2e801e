#include "worker/collective/tcp_transfers.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace plumbline {

namespace {

/// What goes ahead of each transfer: which exchange it is of, and how many bytes follow. In the hosts' byte order,
/// which the numeric fingerprint makes the same.
struct Head {
  std::uint64_t exchange = 0, bytes = 0;
};
constexpr std::int64_t kHeadBytes = sizeof(Head);

enum class Progress { kWaits, kDone, kLost };

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }

/// One direction of one connection in one exchange: the head, then the bytes.
class Outgoing {
 public:
  Outgoing(std::uint64_t exchange, Piece piece)
      : head_{exchange, static_cast<std::uint64_t>(piece.bytes)}, piece_(piece) {}
  [[nodiscard]] bool done() const { return at_ == kHeadBytes + piece_.bytes; }
  Progress move(int socket) {
    while (!done()) {
      const bool in_head = at_ < kHeadBytes;
      const char* from = in_head ? reinterpret_cast<const char*>(&head_) + at_ : piece_.data + (at_ - kHeadBytes);
      const std::int64_t left = in_head ? kHeadBytes - at_ : kHeadBytes + piece_.bytes - at_;
      const int more = in_head && piece_.bytes > 0 ? MSG_MORE : 0;
      const ssize_t sent = ::send(socket, from, static_cast<std::size_t>(left), MSG_NOSIGNAL | more);
      if (sent > 0)
        at_ += sent;
      else if (sent < 0 && would_block())
        return Progress::kWaits;
      else if (sent == 0 || errno != EINTR)
        return Progress::kLost;
    }
    return Progress::kDone;
  }

 private:
  Head head_;
  Piece piece_;
  std::int64_t at_ = 0;
};

class Incoming {
 public:
  explicit Incoming(MutablePiece piece) : piece_(piece) {}
  [[nodiscard]] bool done() const { return at_ == kHeadBytes + piece_.bytes; }
  [[nodiscard]] bool has_head() const { return at_ >= kHeadBytes; }
  [[nodiscard]] bool is(std::uint64_t exchange) const {
    return head_.exchange == exchange && head_.bytes == static_cast<std::uint64_t>(piece_.bytes);
  }
  /// Stops once after the head, so that it can be looked at before the bytes are taken.
  Progress move(int socket) {
    while (!done()) {
      const bool in_head = at_ < kHeadBytes;
      char* to = in_head ? reinterpret_cast<char*>(&head_) + at_ : piece_.data + (at_ - kHeadBytes);
      const std::int64_t left = in_head ? kHeadBytes - at_ : kHeadBytes + piece_.bytes - at_;
      const ssize_t got = ::recv(socket, to, static_cast<std::size_t>(left), 0);
      if (got > 0) {
        at_ += got;
        if (at_ == kHeadBytes) break;
      } else if (got < 0 && would_block()) {
        return Progress::kWaits;
      } else if (got == 0 || errno != EINTR) {
        return Progress::kLost;
      }
    }
    return done() ? Progress::kDone : Progress::kWaits;
  }

 private:
  Head head_;
  MutablePiece piece_;
  std::int64_t at_ = 0;
};

}  // namespace

Error TcpTransfers::give_up(const std::string& why) {
  broken_ = true;
  for (FileDescriptor& socket : sockets_) socket.close();
  return run_error("the group of workers is broken: " + why, "rank " + std::to_string(rank_));
}

Status TcpTransfers::exchange(const std::vector<Piece>& sends, const std::vector<MutablePiece>& receives) {
  if (broken_) return run_error("the group of workers is broken", "rank " + std::to_string(rank_));
  const std::uint64_t number = ++exchanges_;
  const std::size_t n = sockets_.size(), me = static_cast<std::size_t>(rank_);
  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  for (std::size_t p = 0; p < n; ++p) {
    out.emplace_back(number, sends.at(p));
    in.emplace_back(receives.at(p));
  }
  std::vector<pollfd> polled;
  for (;;) {
    polled.assign(1, {interrupt_.descriptor(), POLLIN, 0});
    std::vector<std::size_t> peers;
    for (std::size_t p = 0; p < n; ++p) {
      if (p == me) continue;
      short events = 0;
      if (!out[p].done()) {
        const Progress moved = out[p].move(sockets_[p].get());
        if (moved == Progress::kLost) return give_up("rank " + std::to_string(p) + " is gone");
        if (moved == Progress::kWaits) events |= POLLOUT;
      }
      while (!in[p].done()) {
        const bool had_head = in[p].has_head();
        const Progress moved = in[p].move(sockets_[p].get());
        if (moved == Progress::kLost) return give_up("rank " + std::to_string(p) + " is gone");
        if (!had_head && in[p].has_head() && !in[p].is(number))
          return give_up("rank " + std::to_string(p) + " does something else than this one");
        if (moved == Progress::kWaits && in[p].has_head() == had_head) {
          events |= POLLIN;
          break;
        }
      }
      if (events != 0) {
        polled.push_back({sockets_[p].get(), events, 0});
        peers.push_back(p);
      }
    }
    if (interrupt_.raised()) return give_up("the coordinator wants a new one");
    if (peers.empty()) return {};
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR)
      return give_up("its sockets cannot be waited for: " + std::generic_category().message(errno));
  }
}

}  // namespace plumbline
