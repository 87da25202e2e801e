#include "coordinator/serve/peer.hpp"

#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <span>
#include <utility>

#include "common/core/files.hpp"

namespace plumbline {

namespace asio = boost::asio;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kNonceBytes = 16;

Error ended(const boost::system::error_code& ec) {
  return run_error(ec == asio::error::eof ? "the connection ended" : "the connection broke: " + ec.message());
}

}  // namespace

Peer::Peer(asio::ip::tcp::socket socket, ConnectionId id, std::string secret, PeerOwner& owner,
           const PeerLimits& limits)
    : socket_(std::move(socket)),
      deadline_(socket_.get_executor()),
      id_(id),
      secret_(std::move(secret)),
      owner_(owner),
      limits_(limits) {}

void Peer::start() {
  boost::system::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  arm_deadline(limits_.handshake, "it did not prove the secret in time");
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
  while (!closed_ && !closing_) {
    const Result<Frame> frame = co_await read_frame();
    if (frame.has_error()) co_return close(frame.error().message);
    if (closed_ || closing_) co_return;
    auto message = from_frame(frame.value());
    if (message.has_error()) co_return close(message.error().message);
    if (role() == Role::kClient) arm_deadline(limits_.client_silence, "the client said nothing for a while");
    owner_.on_message(*this, frame.value().generation, std::move(message).value());
  }
}

asio::awaitable<Status> Peer::shake_hands() {
  challenge_ = to_hex(random_bytes(kNonceBytes));
  send(Challenge{challenge_});
  const Result<Frame> frame = co_await read_frame();
  if (frame.has_error()) co_return frame.error();
  auto message = from_frame(frame.value());
  if (message.has_error()) co_return message.error();
  const auto* hello = std::get_if<Hello>(&message.value());
  if (hello == nullptr) co_return run_error("it said " + message_name(message.value()) + " instead of Hello");
  if (!proofs_equal(hello->proof, hello_proof(secret_, challenge_, *hello))) {
    refuse({static_cast<int>(ErrorCode::kUsage), "the secret is wrong", "",
            "Only who can read the file `secret` of the run's directory can talk to its coordinator."});
    co_return run_error("the secret is wrong");
  }
  hello_ = *hello;
  proven_ = true;
  if (role() == Role::kClient)
    arm_deadline(limits_.client_silence, "the client said nothing for a while");
  else
    deadline_.cancel(), ++deadlines_;
  co_return Status();
}

asio::awaitable<Result<Frame>> Peer::read_frame() {
  std::array<std::byte, kFrameHeaderBytes> bytes;
  const auto [header_error, header_read] = co_await asio::async_read(socket_, asio::buffer(bytes), kAwait);
  if (header_error) co_return ended(header_error);
  const auto header = decode_header(bytes);
  if (header.has_error()) co_return header.error();
  Frame frame{header->type, header->generation, std::string(header->payload_bytes, '\0')};
  const auto [payload_error, payload_read] = co_await asio::async_read(socket_, asio::buffer(frame.payload), kAwait);
  if (payload_error) co_return ended(payload_error);
  const Status whole = verify_payload(bytes, header.value(), frame.payload);
  if (whole.has_error()) co_return whole.error();
  co_return frame;
}

void Peer::welcome(Welcome welcome) {
  generation_ = welcome.generation;
  welcome.proof = welcome_proof(secret_, challenge_, hello_.nonce);
  send(welcome);
}

void Peer::send(const Message& message) {
  if (closed_ || closing_) return;
  auto bytes = encode_frame(to_frame(message, generation_));
  if (bytes.has_error()) return close(bytes.error().message);
  outgoing_bytes_ += bytes->size();
  if (outgoing_bytes_ > limits_.outgoing_bytes) return finish("it does not read what is sent to it");
  outgoing_.push_back(std::move(bytes).value());
  if (!writing_) write_next();
}

void Peer::write_next() {
  writing_ = true;
  asio::async_write(socket_, asio::buffer(outgoing_.front()),
                    [self = shared_from_this()](const boost::system::error_code& ec, std::size_t) {
                      self->writing_ = false;
                      if (ec) return self->finish(ended(ec).message);
                      self->outgoing_bytes_ -= self->outgoing_.front().size();
                      self->outgoing_.pop_front();
                      if (!self->outgoing_.empty()) return self->write_next();
                      if (self->closing_) self->finish(self->reason_);
                    });
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
  deadline_.cancel();
  boost::system::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  const auto self = shared_from_this();
  owner_.on_closed(*this, reason);
}

void Peer::arm_deadline(std::chrono::milliseconds limit, const std::string& reason) {
  deadline_.expires_after(limit);
  deadline_.async_wait([self = shared_from_this(), reason, number = ++deadlines_](const boost::system::error_code& ec) {
    if (!ec && number == self->deadlines_) self->finish(reason);
  });
}

}  // namespace plumbline
