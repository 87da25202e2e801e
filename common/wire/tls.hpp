// TLS 1.3 under the run's key: who does not know it gets no further than the handshake, on either side. The key is a
// pre-shared one (RFC 8446, 2.2) derived from the run's `secret`; each connection adds an ephemeral Diffie-Hellman
// exchange, so that what was recorded stays unreadable when the secret becomes known later. No certificates, no
// tickets, no early data; the one cipher suite is TLS_AES_128_GCM_SHA256.
//
// A TlsSession works on a non-blocking socket that someone else owns, and never waits: where a call cannot go on it
// says what to wait for. One thread may read while another writes; a lock inside, which is never held while waiting,
// keeps them apart.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/wire/socket.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace plumbline {

enum class TlsSide { kClient, kServer };

/// The run's key, and how connections under it are made. Copies share it; any thread.
class TlsContext {
 public:
  /// `secret`: read_secret's. An environment error when the installed OpenSSL refuses TLS 1.3 with these parameters.
  static Result<TlsContext> make(std::string_view secret);

  /// What a client says in the clear, so that both ends know which run it means: derived from the key, and says
  /// nothing about it.
  [[nodiscard]] const std::string& identity() const;
  /// The 32 bytes that TLS is given.
  [[nodiscard]] const std::string& key() const;
  [[nodiscard]] ssl_ctx_st* get() const;
  /// A sender changes its key after so many records. AES-GCM should not encrypt more than 2^24.5 full ones under one
  /// (RFC 8446, 5.5), which workers that exchange gradients for weeks would.
  void rekey_after(std::uint64_t records) { records_per_key_ = records; }
  [[nodiscard]] std::uint64_t records_per_key() const { return records_per_key_; }

 private:
  struct State;
  explicit TlsContext(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
  std::uint64_t records_per_key_ = 1u << 23;
};

/// Why a session is at its end.
enum class TlsEnd {
  kNone,
  kHungUp,    ///< the other end closed the connection, or it broke
  kRefused,   ///< the other end refused us: it has another key
  kImpostor,  ///< we refused the other end: it does not have the key
  kNotTls,    ///< what came is not TLS 1.3
};

class TlsSession {
 public:
  /// `socket` is connected and non-blocking, and outlives the session.
  TlsSession(int socket, const TlsContext& context, TlsSide side);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  /// Each: how far it came. Nothing in `wait` means done; otherwise the same call is to be made again (a write with
  /// the same bytes) when the socket is ready. A run error ends the session; end() says more.
  struct Step {
    std::size_t bytes = 0;
    std::optional<Readiness> wait;
  };
  Result<Step> handshake();
  /// At least one byte, unless it has to wait. `to` is not empty.
  Result<Step> read_some(std::span<char> to);
  /// Part of `bytes`, which are not empty.
  Result<Step> write_some(std::string_view bytes);
  /// Tells the other end that nothing follows, as far as that goes without waiting.
  void say_goodbye();

  [[nodiscard]] TlsEnd end() const;
  /// How often this end has changed its sending key.
  [[nodiscard]] std::uint64_t rekeyed() const;

 private:
  /// What `returned` of the last call on ssl_ means. Under the lock.
  Result<Step> outcome(int returned, std::size_t bytes, const char* doing);
  Error failure(int kind, const char* doing);

  struct FreeSsl {
    void operator()(ssl_st* ssl) const;
  };
  TlsContext context_;
  int socket_;
  mutable std::mutex mutex_;
  std::unique_ptr<ssl_st, FreeSsl> ssl_;
  std::uint64_t records_ = 0, rekeyed_ = 0;
  bool shaken_ = false, write_pending_ = false;
  TlsEnd end_ = TlsEnd::kNone;
};

}  // namespace plumbline
