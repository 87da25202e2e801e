#include "worker/collective/mesh.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <system_error>

#include "common/wire/secure_stream.hpp"

namespace plumbline {

namespace {

constexpr const char* kWhere = "the workers' mesh";
constexpr int kSocketBufferBytes = 4 << 20;
constexpr std::size_t kKeyDigits = 64;

/// What each side of a new connection says first.
struct Greeting {
  std::array<char, 8> magic{'p', 'l', 'm', 'e', 's', 'h', '0', '1'};
  std::uint64_t generation = 0;
  std::uint32_t rank = 0, world = 0;
  std::array<char, kKeyDigits> key{};
};
constexpr std::int64_t kGreetingBytes = sizeof(Greeting);
static_assert(sizeof(Greeting) == 88, "no padding: it is sent as it lies in memory");

std::string reason(int error) { return std::generic_category().message(error); }

/// Brings a mesh together: one connection for each pair of ranks, made by the higher one.
class Gathering {
 public:
  Gathering(const MeshPlace& place, const MeshListener& listener, const Interrupt& interrupt)
      : place_(place),
        listener_(listener),
        interrupt_(interrupt),
        deadline_(std::chrono::steady_clock::now() + place.timeout),
        links_(place.addresses.size()) {}

  Result<std::vector<MeshLink>> come_together() {
    if (place_.encrypted) {
      PLUMBLINE_ASSIGN(tls_, TlsContext::make(place_.key));
    }
    for (int peer = 0; peer < place_.rank; ++peer) PLUMBLINE_TRY(call(peer));
    while (missing() > 0) PLUMBLINE_TRY(answer_one());
    return std::move(links_);
  }

 private:
  [[nodiscard]] int missing() const {
    return static_cast<int>(
        std::count_if(links_.begin() + place_.rank + 1, links_.end(), [](const auto& link) { return !link; }));
  }

  [[nodiscard]] Greeting greeting() const {
    Greeting greeting;
    greeting.generation = place_.generation.value();
    greeting.rank = static_cast<std::uint32_t>(place_.rank);
    greeting.world = static_cast<std::uint32_t>(place_.addresses.size());
    std::copy_n(place_.key.begin(), kKeyDigits, greeting.key.begin());
    return greeting;
  }
  [[nodiscard]] bool is_ours(const Greeting& theirs) const {
    const Greeting ours = greeting();
    return theirs.magic == ours.magic && theirs.generation == ours.generation && theirs.world == ours.world &&
           theirs.rank < ours.world && CRYPTO_memcmp(theirs.key.data(), ours.key.data(), kKeyDigits) == 0;
  }

  Status call(int peer) {
    const std::string& address = place_.addresses.at(static_cast<std::size_t>(peer));
    const std::size_t colon = address.rfind(':');
    // Not more than half of the time: the other ranks wait meanwhile.
    const auto patience = place_.silence.count() > 0 ? std::min(place_.silence, place_.timeout / 2) : place_.timeout;
    const Deadline answers_by = std::min(deadline_, std::chrono::steady_clock::now() + patience);
    auto socket = connect_to_host(address.substr(0, colon), std::atoi(address.c_str() + colon + 1), answers_by);
    if (socket.has_error()) {
      const bool in_time = std::chrono::steady_clock::now() < deadline_;  // Otherwise it had too little of it.
      if (in_time && !interrupt_.raised() && place_.unreached) place_.unreached(peer);
      return socket.error();
    }
    PLUMBLINE_ASSIGN(MeshLink link, link_over(std::move(socket).value(), TlsSide::kClient, deadline_));
    Greeting theirs;
    PLUMBLINE_TRY(say(link, greeting()));
    PLUMBLINE_TRY(hear(link, theirs, deadline_));
    if (!is_ours(theirs) || theirs.rank != static_cast<std::uint32_t>(peer))
      return run_error("whoever answers at " + address + " is not rank " + std::to_string(peer) + " of this generation",
                       kWhere);
    links_[static_cast<std::size_t>(peer)] = std::move(link);
    return {};
  }

  /// A stranger, or a rank of an earlier generation, is turned away and costs a second at most.
  Status answer_one() {
    PLUMBLINE_TRY(wait(listener_.descriptor(), POLLIN, deadline_, "not all ranks came in time"));
    FileDescriptor socket(::accept4(listener_.descriptor(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return {};
      return run_error("no connection can be accepted: " + reason(errno), kWhere);
    }
    const auto patience = std::min(deadline_, std::chrono::steady_clock::now() + std::chrono::seconds(1));
    auto link = link_over(std::move(socket), TlsSide::kServer, patience);
    Greeting theirs;
    const bool greets = link.has_value() && hear(*link, theirs, patience).has_value();
    if (interrupt_.raised()) return interrupted();
    if (!greets || !is_ours(theirs)) return {};
    const auto rank = static_cast<std::size_t>(theirs.rank);
    if (theirs.rank <= static_cast<std::uint32_t>(place_.rank) || links_[rank]) return {};
    if (say(*link, greeting()).has_error()) return {};
    links_[rank] = std::move(*link);
    return {};
  }

  Result<MeshLink> link_over(FileDescriptor socket, TlsSide side, Deadline deadline) const {
    tune(socket);
    if (!tls_) return asked(MeshLink(std::move(socket)));
    SecureStream stream(std::move(socket), *tls_, side);
    PLUMBLINE_TRY(stream.shake_hands(deadline));
    return asked(MeshLink(std::move(stream)));
  }
  [[nodiscard]] MeshLink asked(MeshLink link) const {
    if (place_.silence.count() > 0) link.ask_when_silent(place_.silence);
    return link;
  }

  static void tune(const FileDescriptor& socket) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kSocketBufferBytes, sizeof kSocketBufferBytes);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kSocketBufferBytes, sizeof kSocketBufferBytes);
  }
  static Error interrupted() { return run_error("the coordinator wants another group", kWhere); }

  Status wait(int socket, short events, Deadline deadline, const std::string& too_late) const {
    for (;;) {
      if (interrupt_.raised()) return interrupted();
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return run_error(too_late, kWhere);
      std::array<pollfd, 2> polled{pollfd{socket, events, 0}, pollfd{interrupt_.descriptor(), POLLIN, 0}};
      const int ready =
          ::poll(polled.data(), polled.size(), static_cast<int>(std::min<std::int64_t>(left.count(), 1 << 30)));
      if (ready > 0 && polled[0].revents != 0) return {};
    }
  }
  Status say(MeshLink& link, const Greeting& greeting) const {
    const auto* from = reinterpret_cast<const char*>(&greeting);
    for (std::int64_t at = 0; at < kGreetingBytes;) {
      const MeshLink::Step step = link.write(from + at, kGreetingBytes - at, /*more=*/false);
      if (step.lost) return run_error("another rank hung up", kWhere);
      at += step.bytes;
      if (step.wait != 0) PLUMBLINE_TRY(wait(link.descriptor(), step.wait, deadline_, "another rank does not listen"));
    }
    return {};
  }
  Status hear(MeshLink& link, Greeting& greeting, Deadline deadline) const {
    auto* to = reinterpret_cast<char*>(&greeting);
    for (std::int64_t at = 0; at < kGreetingBytes;) {
      const MeshLink::Step step = link.read(to + at, kGreetingBytes - at);
      if (step.lost) return run_error("another rank hung up", kWhere);
      at += step.bytes;
      if (step.wait != 0) PLUMBLINE_TRY(wait(link.descriptor(), step.wait, deadline, "another rank says nothing"));
    }
    return {};
  }

  const MeshPlace& place_;
  const MeshListener& listener_;
  const Interrupt& interrupt_;
  Deadline deadline_;
  std::optional<TlsContext> tls_;
  std::vector<MeshLink> links_;
};

}  // namespace

Result<MeshListener> MeshListener::open(const std::string& host) {
  PLUMBLINE_ASSIGN(auto listening, listen_on(host, /*port=*/0));
  return MeshListener(std::move(listening.socket), host + ":" + std::to_string(listening.port));
}

Result<Mesh> Mesh::gather(const MeshPlace& place, const MeshListener& listener, const Interrupt& interrupt) {
  if (place.key.size() != kKeyDigits) return run_error("the mesh's key is not of 64 digits", kWhere);
  PLUMBLINE_ASSIGN(auto links, Gathering(place, listener, interrupt).come_together());
  return Mesh(TcpTransfers(std::move(links), place.rank, interrupt, {place.silence, place.unreached}));
}

Status Mesh::all_gather(char* data, std::int64_t width, const Counts& counts, const Counts& offsets) {
  std::vector<Piece> sends(ranks(), Piece{data + offsets.at(me()) * width, counts.at(me()) * width});
  std::vector<MutablePiece> receives(ranks());
  for (std::size_t p = 0; p < ranks(); ++p) receives[p] = {data + offsets.at(p) * width, counts.at(p) * width};
  return transfers_.exchange(sends, receives);
}

Status Mesh::broadcast(MutablePiece buffer, int root) {
  std::vector<Piece> sends(ranks());
  std::vector<MutablePiece> receives(ranks());
  if (root == rank())
    std::fill(sends.begin(), sends.end(), Piece{buffer.data, buffer.bytes});
  else
    receives.at(static_cast<std::size_t>(root)) = buffer;
  return transfers_.exchange(sends, receives);
}

Result<std::vector<std::string>> Mesh::all_gather_bytes(const std::string& mine) {
  Counts counts(ranks()), ones(ranks(), 1), places(ranks());
  for (std::size_t p = 0; p < ranks(); ++p) places[p] = static_cast<std::int64_t>(p);
  counts[me()] = static_cast<std::int64_t>(mine.size());
  PLUMBLINE_TRY(all_gather(reinterpret_cast<char*>(counts.data()), sizeof(std::int64_t), ones, places));
  std::vector<std::string> all(ranks());
  std::vector<Piece> sends(ranks(), Piece{mine.data(), counts[me()]});
  std::vector<MutablePiece> receives(ranks());
  for (std::size_t p = 0; p < ranks(); ++p) {
    all[p] = p == me() ? mine : std::string(static_cast<std::size_t>(counts[p]), '\0');
    receives[p] = {all[p].data(), counts[p]};
  }
  PLUMBLINE_TRY(transfers_.exchange(sends, receives));
  return all;
}

Status Mesh::barrier() { return transfers_.exchange(std::vector<Piece>(ranks()), std::vector<MutablePiece>(ranks())); }

}  // namespace plumbline
