// One peer's connection to the coordinator: the TLS handshake, frames in, frames out. All on the event loop's one
// thread.
//
// What a peer can make the coordinator hold is bounded: a frame by the wire's limit, the time to prove the key and say
// hello and the silence of a client by deadlines, what waits to be sent to it by a byte limit. Breaking one ends the
// connection. It keeps itself alive while an operation is pending; close() may be called at any time, and on_closed
// comes exactly once for each connection that was started, never from within send() or welcome().
#pragma once
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <string>

#include "common/core/result.hpp"
#include "common/wire/message.hpp"
#include "common/wire/tls.hpp"
#include "coordinator/membership/event.hpp"

namespace plumbline {

/// How the event loop awaits: an error is part of the answer, nothing is thrown.
inline constexpr auto kAwait = boost::asio::as_tuple(boost::asio::use_awaitable);

class Peer;

/// Who is told. Outlives its connections.
class PeerOwner {
 public:
  virtual ~PeerOwner() = default;
  /// The peer has proved the run's key and said who it is. The owner answers with welcome(), or refuses.
  virtual void on_hello(Peer& peer, const Hello& hello) = 0;
  virtual void on_message(Peer& peer, Generation generation, Message message) = 0;
  virtual void on_closed(Peer& peer, const std::string& reason) = 0;
};

struct PeerLimits {
  std::chrono::milliseconds handshake{10'000};  ///< from the connection to the end of Hello
  std::chrono::milliseconds client_silence{60'000};
  std::chrono::milliseconds farewell{1'000};  ///< for what is still to be sent when a connection is closed
  std::size_t outgoing_bytes = 8u << 20;
};

class Peer : public std::enable_shared_from_this<Peer> {
 public:
  Peer(boost::asio::ip::tcp::socket socket, ConnectionId id, const TlsContext& context, PeerOwner& owner,
       const PeerLimits& limits);

  /// Begins the handshake. Call once, on a connection held by a shared_ptr.
  void start();
  /// Answers a hello; frames carry `generation` from now on.
  void welcome(const Welcome& welcome);
  /// Frames carry `generation` from now on.
  void speak_in(Generation generation) { generation_ = generation; }
  void send(const Message& message);
  /// A whole frame, or the reason why there is none, which ends the connection.
  void send_frame(Result<std::string> bytes);
  /// What it says from now on is not read: its end is decided, and comes behind what it is still to be told.
  void stop_listening() { deaf_ = true; }
  /// Says why, waits for that to be sent, closes.
  void refuse(const Failed& why);
  /// Closes at once.
  void make_way(const std::string& reason) { finish(reason); }
  /// What was given to send() goes out first, as far as the peer takes it.
  void close(const std::string& reason);

  [[nodiscard]] ConnectionId id() const { return id_; }
  [[nodiscard]] Generation generation() const { return generation_; }
  [[nodiscard]] const Hello& hello() const { return hello_; }
  [[nodiscard]] Role role() const { return hello_.role; }
  [[nodiscard]] bool proven() const { return proven_; }

 private:
  boost::asio::awaitable<void> serve();
  /// TLS and Hello; the reason when it fails.
  boost::asio::awaitable<Status> shake_hands();
  boost::asio::awaitable<Result<Frame>> read_frame();
  /// A frame that is here already; nothing, and `wait` set, when there is none.
  Result<std::optional<Frame>> read_arrived(Readiness& wait);
  boost::asio::awaitable<Status> until(Readiness readiness);
  /// Writes on the next turn of the loop, so that what goes wrong never comes out of send().
  void write_soon();
  void write();
  void finish(const std::string& reason);
  void finish_soon(const std::string& reason);
  void arm_deadline(std::chrono::milliseconds limit, const std::string& reason);

  boost::asio::ip::tcp::socket socket_;
  TlsSession tls_;
  boost::asio::steady_timer deadline_;
  ConnectionId id_;
  PeerOwner& owner_;
  PeerLimits limits_;
  std::string reason_;
  Hello hello_;
  Generation generation_;
  FrameBuffer arrived_;
  std::deque<std::string> outgoing_;
  std::size_t outgoing_bytes_ = 0, written_ = 0;  ///< written_: of the first of outgoing_
  std::uint64_t deadlines_ = 0;
  bool proven_ = false, writing_ = false, closed_ = false, closing_ = false, deaf_ = false;
};

}  // namespace plumbline
