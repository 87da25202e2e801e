#include "worker/collective/tcp_transfers.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "worker/activity.hpp"

namespace plumbline {

namespace {

/// What goes ahead of each transfer: which exchange it is of, and how many bytes follow. In the hosts' byte order,
/// which the numeric fingerprint makes the same.
struct Head {
  std::uint64_t exchange = 0, bytes = 0;
};
constexpr int kLooks = 8;  ///< at the links, within the silence that is borne
constexpr std::int64_t kHeadBytes = sizeof(Head);

/// How far one direction of one connection came: `wait` is what to poll for, 0 when it is done.
struct Progress {
  short wait = 0;
  bool lost = false;
};

/// The head, then the bytes.
class Outgoing {
 public:
  Outgoing(std::uint64_t exchange, Piece piece)
      : head_{exchange, static_cast<std::uint64_t>(piece.bytes)}, piece_(piece) {}
  [[nodiscard]] bool done() const { return at_ == kHeadBytes + piece_.bytes; }
  Progress move(MeshLink& link) {
    while (!done()) {
      const bool in_head = at_ < kHeadBytes;
      const char* from = in_head ? reinterpret_cast<const char*>(&head_) + at_ : piece_.data + (at_ - kHeadBytes);
      const std::int64_t left = in_head ? kHeadBytes - at_ : kHeadBytes + piece_.bytes - at_;
      const MeshLink::Step step = link.write(from, left, /*more=*/in_head && piece_.bytes > 0);
      at_ += step.bytes;
      if (step.lost || step.wait != 0) return {step.wait, step.lost};
    }
    return {};
  }

 private:
  Head head_;
  Piece piece_;
  std::int64_t at_ = 0;
};

class Incoming {
 public:
  Incoming(std::uint64_t exchange, MutablePiece piece) : exchange_(exchange), piece_(piece) {}
  [[nodiscard]] bool done() const { return at_ == kHeadBytes + piece_.bytes; }
  /// The other rank does something else than this one.
  [[nodiscard]] bool contradicts() const {
    return at_ >= kHeadBytes &&
           (head_.exchange != exchange_ || head_.bytes != static_cast<std::uint64_t>(piece_.bytes));
  }
  Progress move(MeshLink& link) {
    while (!done() && !contradicts()) {
      const bool in_head = at_ < kHeadBytes;
      char* to = in_head ? reinterpret_cast<char*>(&head_) + at_ : piece_.data + (at_ - kHeadBytes);
      const std::int64_t left = in_head ? kHeadBytes - at_ : kHeadBytes + piece_.bytes - at_;
      const MeshLink::Step step = link.read(to, left);
      at_ += step.bytes;
      if (step.lost || step.wait != 0) return {step.wait, step.lost};
    }
    return {};
  }

 private:
  std::uint64_t exchange_;
  Head head_;
  MutablePiece piece_;
  std::int64_t at_ = 0;
};

}  // namespace

Error TcpTransfers::give_up(const std::string& why) {
  broken_ = true;
  for (MeshLink& link : links_) link.close();
  return run_error("the group of workers is broken: " + why, "rank " + std::to_string(rank_));
}

std::optional<int> TcpTransfers::silent_one(const std::vector<int>& waited_for) {
  const auto now = std::chrono::steady_clock::now();
  if (reach_.silence.count() == 0 || now - looked_at_ < reach_.silence / kLooks) return std::nullopt;
  looked_at_ = now;
  std::optional<int> silent;
  for (const int rank : waited_for) {
    if (links_[static_cast<std::size_t>(rank)].silence() <= reach_.silence) continue;
    if (reach_.unreached) reach_.unreached(rank);
    if (!silent) silent = rank;
  }
  return silent;
}

Status TcpTransfers::exchange(const std::vector<Piece>& sends, const std::vector<MutablePiece>& receives) {
  if (broken_) return run_error("the group of workers is broken", "rank " + std::to_string(rank_));
  const std::uint64_t number = ++exchanges_;
  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  for (std::size_t p = 0; p < links_.size(); ++p) {
    out.emplace_back(number, sends.at(p));
    in.emplace_back(number, receives.at(p));
  }
  std::vector<pollfd> polled;
  for (;;) {
    polled.assign(1, {interrupt_.descriptor(), POLLIN, 0});
    std::vector<int> waited_for;
    for (std::size_t p = 0; p < links_.size(); ++p) {
      if (p == static_cast<std::size_t>(rank_)) continue;
      const Progress sent = out[p].move(links_[p]), received = in[p].move(links_[p]);
      if (in[p].contradicts()) return give_up("rank " + std::to_string(p) + " does something else than this one");
      if (sent.lost || received.lost) return give_up("rank " + std::to_string(p) + " is gone");
      if (const auto wait = static_cast<short>(sent.wait | received.wait); wait != 0) {
        polled.push_back({links_[p].descriptor(), wait, 0});
        waited_for.push_back(static_cast<int>(p));
      }
    }
    if (interrupt_.raised()) return give_up("the coordinator wants a new one");
    if (polled.size() == 1) return {};
    if (const auto silent = silent_one(waited_for))
      return give_up("nothing comes from the host of rank " + std::to_string(*silent) + " any more");
    std::vector<int> absent;
    for (std::size_t p = 0; p < links_.size(); ++p)
      if (p != static_cast<std::size_t>(rank_) && !in[p].done()) absent.push_back(static_cast<int>(p));
    activity().wait_for(absent);
    const auto look_again = reach_.silence.count() > 0 ? static_cast<int>(reach_.silence.count() / kLooks) + 1 : -1;
    if (::poll(polled.data(), polled.size(), look_again) < 0 && errno != EINTR)
      return give_up("its sockets cannot be waited for: " + std::generic_category().message(errno));
  }
}

}  // namespace plumbline
