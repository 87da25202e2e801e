#include "coordinator/serve/peer.hpp"

#include <spdlog/spdlog.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <utility>

namespace plumbline {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::size_t kRecordBytes = 1 << 14;
/// A peer that says a lot lets others have their turn after so many frames.
constexpr int kFramesInARow = 16;

Error ended(const boost::system::error_code& ec) { return run_error("the connection broke: " + ec.message()); }

tcp::socket::wait_type wait_type(Readiness readiness) {
  return readiness == Readiness::kReadable ? tcp::socket::wait_read : tcp::socket::wait_write;
}

tcp::socket prepared(tcp::socket socket) {
  boost::system::error_code ignored;
  socket.native_non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  return socket;
}

}  // namespace

Peer::Peer(tcp::socket socket, ConnectionId id, const TlsContext& context, PeerOwner& owner, const PeerLimits& limits)
    : socket_(prepared(std::move(socket))),
      tls_(socket_.native_handle(), context, TlsSide::kServer),
      deadline_(socket_.get_executor()),
      id_(id),
      owner_(owner),
      limits_(limits) {}

void Peer::start() {
  arm_deadline(limits_.handshake, "it did not prove the run's key and say hello in time");
  asio::co_spawn(
      socket_.get_executor(), [self = shared_from_this()] { return self->serve(); },
      [self = shared_from_this()](const std::exception_ptr& failure) {
        if (!failure) return;
        try {
          std::rethrow_exception(failure);
        } catch (const std::exception& e) {
          spdlog::error("connection {}: {}", self->id_.value(), e.what());
          self->finish(e.what());
        }
      });
}

asio::awaitable<void> Peer::serve() {
  const Status shaken = co_await shake_hands();
  if (shaken.has_error()) co_return close(shaken.error().message);
  owner_.on_hello(*this, hello_);
  for (int in_a_row = 1; !closed_ && !closing_ && !deaf_; ++in_a_row) {
    const Result<Frame> frame = co_await read_frame();
    if (frame.has_error()) co_return close(frame.error().message);
    if (closed_ || closing_ || deaf_) co_return;
    auto message = from_frame(frame.value());
    if (message.has_error()) co_return close(message.error().message);
    if (role() == Role::kClient) arm_deadline(limits_.client_silence, "the client said nothing for a while");
    owner_.on_message(*this, frame.value().generation, std::move(message).value());
    if (in_a_row % kFramesInARow == 0) co_await asio::post(socket_.get_executor(), asio::use_awaitable);
  }
}

asio::awaitable<Status> Peer::shake_hands() {
  for (;;) {
    const auto step = tls_.handshake();
    if (step.has_error()) co_return step.error();
    if (!step->wait) break;
    const Status ready = co_await until(*step->wait);
    if (ready.has_error()) co_return ready.error();
  }
  const Result<Frame> frame = co_await read_frame();
  if (frame.has_error()) co_return frame.error();
  auto message = from_frame(frame.value());
  if (message.has_error()) co_return message.error();
  const auto* hello = std::get_if<Hello>(&message.value());
  if (hello == nullptr) co_return run_error("it said " + message_name(message.value()) + " instead of Hello");
  hello_ = *hello;
  proven_ = true;
  if (role() == Role::kClient)
    arm_deadline(limits_.client_silence, "the client said nothing for a while");
  else
    deadline_.cancel(), ++deadlines_;
  co_return Status();
}

asio::awaitable<Result<Frame>> Peer::read_frame() {
  for (;;) {
    Readiness wait = Readiness::kReadable;
    auto frame = read_arrived(wait);
    if (frame.has_error()) co_return frame.error();
    if (frame.value()) co_return std::move(*frame.value());
    const Status ready = co_await until(wait);
    if (ready.has_error()) co_return ready.error();
  }
}

Result<std::optional<Frame>> Peer::read_arrived(Readiness& wait) {
  std::array<char, kRecordBytes> block;  // here and not in a coroutine, which would keep it for every peer
  for (;;) {
    PLUMBLINE_ASSIGN(std::optional<Frame> frame, arrived_.take());
    if (frame) return frame;
    PLUMBLINE_ASSIGN(const TlsSession::Step step, tls_.read_some(block));
    if (step.wait) {
      wait = *step.wait;
      return std::optional<Frame>();
    }
    arrived_.add({block.data(), step.bytes});
  }
}

/// An error too when the connection was closed meanwhile: then its descriptor may be another's.
asio::awaitable<Status> Peer::until(Readiness readiness) {
  const auto [error] = co_await socket_.async_wait(wait_type(readiness), kAwait);
  if (error) co_return ended(error);
  if (closed_) co_return run_error("the connection is closed");
  co_return Status();
}

void Peer::welcome(const Welcome& welcome) {
  generation_ = welcome.generation;
  send(welcome);
}

void Peer::send(const Message& message) {
  if (!closed_ && !closing_) send_frame(encode_frame(to_frame(message, generation_)));
}

void Peer::send_frame(Result<std::string> bytes) {
  if (closed_ || closing_) return;
  if (bytes.has_error()) return finish_soon(bytes.error().message);
  outgoing_bytes_ += bytes->size();
  if (outgoing_bytes_ > limits_.outgoing_bytes) return finish_soon("it does not read what is sent to it");
  outgoing_.push_back(std::move(bytes).value());
  if (!writing_) write_soon();
}

void Peer::finish_soon(const std::string& reason) {
  closing_ = true;
  reason_ = reason;
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->finish(self->reason_); });
}

void Peer::write_soon() {
  writing_ = true;
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->write(); });
}

void Peer::write() {
  if (closed_) return;
  while (!outgoing_.empty()) {
    const auto step = tls_.write_some(std::string_view(outgoing_.front()).substr(written_));
    if (step.has_error()) return finish(step.error().message);
    written_ += step->bytes;
    if (written_ == outgoing_.front().size()) {
      outgoing_bytes_ -= written_;
      written_ = 0;
      outgoing_.pop_front();
    }
    if (!step->wait) continue;
    return socket_.async_wait(wait_type(*step->wait), [self = shared_from_this()](const boost::system::error_code& ec) {
      if (ec) return self->finish(ended(ec).message);
      self->write();
    });
  }
  writing_ = false;
  if (closing_) finish(reason_);
}

void Peer::refuse(const Failed& why) {
  send(why);
  close(why.message);
}

void Peer::close(const std::string& reason) {
  if (closed_ || closing_) return;
  if (!writing_) return finish(reason);
  closing_ = true;  // What is being sent goes out first; the deadline sees to the end.
  reason_ = reason;
  arm_deadline(limits_.farewell, reason);
}

void Peer::finish(const std::string& reason) {
  if (closed_) return;
  closed_ = true;
  const auto self = shared_from_this();
  deadline_.cancel();
  tls_.say_goodbye();
  boost::system::error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  owner_.on_closed(*this, reason);
}

void Peer::arm_deadline(std::chrono::milliseconds limit, const std::string& reason) {
  deadline_.expires_after(limit);
  deadline_.async_wait([self = shared_from_this(), reason, number = ++deadlines_](const boost::system::error_code& ec) {
    if (!ec && number == self->deadlines_) self->finish(reason);
  });
}

}  // namespace plumbline
