#include "common/wire/tls.hpp"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "common/core/check.hpp"
#include "common/core/files.hpp"

namespace plumbline {

/// What both ends of a run know.
struct TlsKeyMaterial {
  TlsKeyMaterial() = default;
  TlsKeyMaterial(const TlsKeyMaterial&) = delete;
  TlsKeyMaterial& operator=(const TlsKeyMaterial&) = delete;
  ~TlsKeyMaterial() { OPENSSL_cleanse(key.data(), key.size()); }
  std::string key, identity;
};

struct FreeSslContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

namespace {

constexpr const char* kWhere = "control plane";
constexpr const char* kCipherSuite = "TLS_AES_128_GCM_SHA256";
constexpr std::array<unsigned char, 2> kCipherSuiteId{0x13, 0x01};
constexpr const char* kGroups = "X25519:P-256";
constexpr std::size_t kIdentityBytes = 16;

/// The errors of the call that failed, oldest first; the thread's queue is empty behind it.
std::string reasons() {
  std::string text;
  while (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    text += text.empty() ? "" : ", ";
    text += reason == nullptr ? "error " + std::to_string(ERR_GET_REASON(code)) : std::string(reason);
  }
  return text;
}

/// HKDF-Expand (RFC 5869) for at most 32 bytes.
std::string expand(std::string_view extracted, std::string_view label) {
  return hmac_sha256(extracted, std::string(label) + '\x01');
}

// --- a BIO over a socket that never raises SIGPIPE

int bio_socket(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

bool is_to_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = ::send(bio_socket(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && is_to_wait(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = ::recv(bio_socket(bio), data, static_cast<std::size_t>(size), 0);
  if (got < 0 && is_to_wait(errno)) BIO_set_retry_read(bio);
  if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(got);
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "plumbline socket");
    PLUMBLINE_CHECK(made != nullptr, "no memory for a BIO");
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

BIO* socket_bio(int socket) {
  BIO* bio = BIO_new(socket_method());
  PLUMBLINE_CHECK(bio != nullptr, "no memory for a BIO");
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket)));
  BIO_set_init(bio, 1);
  return bio;
}

// --- the key

/// Where an SSL_CTX keeps its TlsKeyMaterial.
int material_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

const TlsKeyMaterial& material_of(SSL* ssl) {
  return *static_cast<const TlsKeyMaterial*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), material_index()));
}

/// A session of TLS 1.3 whose secret is `key`; nothing without memory. OpenSSL takes it over.
SSL_SESSION* key_session(SSL* ssl, const std::string& key) {
  SSL_SESSION* session = SSL_SESSION_new();
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, kCipherSuiteId.data());
  if (session != nullptr && cipher != nullptr &&
      SSL_SESSION_set1_master_key(session, reinterpret_cast<const unsigned char*>(key.data()), key.size()) == 1 &&
      SSL_SESSION_set_cipher(session, cipher) == 1 && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
    return session;
  SSL_SESSION_free(session);
  return nullptr;
}

/// The client's side: which key it offers.
int offer_key(SSL* ssl, const EVP_MD*, const unsigned char** identity, std::size_t* identity_bytes,
              SSL_SESSION** session) {
  const TlsKeyMaterial& material = material_of(ssl);
  *session = key_session(ssl, material.key);
  *identity = reinterpret_cast<const unsigned char*>(material.identity.data());
  *identity_bytes = material.identity.size();
  return *session == nullptr ? 0 : 1;
}

/// The server's side: the key behind what a client calls it; none for a run that is not this one.
int find_key(SSL* ssl, const unsigned char* identity, std::size_t identity_bytes, SSL_SESSION** session) {
  const TlsKeyMaterial& material = material_of(ssl);
  *session = nullptr;
  if (std::string_view(reinterpret_cast<const char*>(identity), identity_bytes) != material.identity) return 1;
  *session = key_session(ssl, material.key);
  return *session == nullptr ? 0 : 1;
}

/// TLS 1.3 and nothing that the run's key does not cover.
bool configure(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION);
  SSL_CTX_clear_options(context, SSL_OP_ALLOW_NO_DHE_KEX);
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(context, 1);
  return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_ciphersuites(context, kCipherSuite) == 1 && SSL_CTX_set1_groups_list(context, kGroups) == 1 &&
         SSL_CTX_set_num_tickets(context, 0) == 1 && SSL_CTX_set_max_early_data(context, 0) == 1 &&
         SSL_CTX_set_recv_max_early_data(context, 0) == 1;
}

}  // namespace

struct TlsContext::State {
  TlsKeyMaterial material;
  std::unique_ptr<SSL_CTX, FreeSslContext> context;  ///< points at the material
};

Result<TlsContext> TlsContext::make(std::string_view secret) {
  auto state = std::make_shared<State>();
  TlsKeyMaterial& material = state->material;
  std::string extracted = hmac_sha256("plumbline control plane", secret);
  material.key = expand(extracted, "tls 1.3 pre-shared key");
  material.identity = "plumbline-1-" + to_hex(expand(extracted, "identity").substr(0, kIdentityBytes));
  OPENSSL_cleanse(extracted.data(), extracted.size());
  ERR_clear_error();
  state->context.reset(SSL_CTX_new(TLS_method()));
  SSL_CTX* context = state->context.get();
  if (context == nullptr || !configure(context) || SSL_CTX_set_ex_data(context, material_index(), &material) != 1)
    return environment_error("OpenSSL cannot speak TLS 1.3 with " + std::string(kCipherSuite) + ": " + reasons(),
                             "OpenSSL", "Look at its configuration (openssl.cnf), which may forbid it.");
  SSL_CTX_set_psk_use_session_callback(context, offer_key);
  SSL_CTX_set_psk_find_session_callback(context, find_key);
  return TlsContext(std::move(state));
}

const std::string& TlsContext::identity() const { return state_->material.identity; }
const std::string& TlsContext::key() const { return state_->material.key; }
ssl_ctx_st* TlsContext::get() const { return state_->context.get(); }

// --- a session

void TlsSession::FreeSsl::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsSession::TlsSession(int socket, const TlsContext& context, TlsSide side)
    : context_(context), socket_(socket), ssl_(SSL_new(context.get())) {
  PLUMBLINE_CHECK(ssl_ != nullptr, "no memory for a TLS session");
  BIO* bio = socket_bio(socket);
  SSL_set_bio(ssl_.get(), bio, bio);
  if (side == TlsSide::kServer) {
    SSL_set_accept_state(ssl_.get());
    return;
  }
  SSL_set_connect_state(ssl_.get());
  // A server without the key may show a certificate instead. There is none that we trust.
  SSL_set_verify(ssl_.get(), SSL_VERIFY_PEER, nullptr);
}

TlsSession::~TlsSession() = default;

Result<TlsSession::Step> TlsSession::handshake() {
  const std::lock_guard lock(mutex_);
  ERR_clear_error();
  PLUMBLINE_ASSIGN(const Step step, outcome(SSL_do_handshake(ssl_.get()), 0, "shaking hands"));
  if (step.wait) return step;
  if (SSL_session_reused(ssl_.get()) != 1) {  // "reused": under the key, and not by a certificate
    end_ = TlsEnd::kImpostor;
    return run_error("the other end does not know the run's key", kWhere);
  }
  shaken_ = true;
  return step;
}

Result<TlsSession::Step> TlsSession::read_some(std::span<char> to) {
  const std::lock_guard lock(mutex_);
  ERR_clear_error();
  std::size_t got = 0;
  const int returned = SSL_read_ex(ssl_.get(), to.data(), to.size(), &got);
  return outcome(returned, got, "reading");
}

Result<TlsSession::Step> TlsSession::write_some(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  ERR_clear_error();
  if (!write_pending_ && records_ >= context_.records_per_key()) {
    // Until the message about it is sent OpenSSL reads nothing either. Were both ends to begin it with full buffers,
    // neither would read again: so it waits for room.
    pollfd room{socket_, POLLOUT, 0};
    if (::poll(&room, 1, 0) == 0) return Step{0, Readiness::kWritable};
    if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
      return failure(SSL_ERROR_SSL, "changing the key");
    records_ = 0, ++rekeyed_;
    PLUMBLINE_ASSIGN(const Step told, outcome(SSL_do_handshake(ssl_.get()), 0, "changing the key"));
    if (told.wait) return told;
  }
  std::size_t sent = 0;
  const int returned = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent);
  write_pending_ = returned != 1;
  if (!write_pending_) ++records_;  // a write takes one record, since it may be partial
  return outcome(returned, sent, "writing");
}

void TlsSession::say_goodbye() {
  const std::lock_guard lock(mutex_);
  if (!shaken_ || write_pending_ || end_ != TlsEnd::kNone) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

TlsEnd TlsSession::end() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

std::uint64_t TlsSession::rekeyed() const {
  const std::lock_guard lock(mutex_);
  return rekeyed_;
}

Result<TlsSession::Step> TlsSession::outcome(int returned, std::size_t bytes, const char* doing) {
  if (returned == 1) return Step{bytes, std::nullopt};
  const int kind = SSL_get_error(ssl_.get(), returned);
  if (kind == SSL_ERROR_WANT_READ) return Step{0, Readiness::kReadable};
  if (kind == SSL_ERROR_WANT_WRITE) return Step{0, Readiness::kWritable};
  return failure(kind, doing);
}

Error TlsSession::failure(int kind, const char* doing) {
  const int broken = errno;
  if (kind == SSL_ERROR_ZERO_RETURN || kind == SSL_ERROR_SYSCALL) {
    end_ = TlsEnd::kHungUp;
    const bool ended = kind == SSL_ERROR_ZERO_RETURN || broken == 0 || broken == ECONNRESET || broken == EPIPE;
    ERR_clear_error();
    return run_error("the connection was lost: " + (ended ? "the other end hung up" : system_reason(broken)), kWhere);
  }
  const int reason = ERR_GET_REASON(ERR_peek_error());
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED || reason == SSL_R_BINDER_DOES_NOT_VERIFY)
    end_ = TlsEnd::kImpostor;
  else if (reason >= SSL_AD_REASON_OFFSET)
    end_ = TlsEnd::kRefused;
  else
    end_ = TlsEnd::kNotTls;
  return run_error(std::string("TLS failed while ") + doing + ": " + reasons(), kWhere);
}

}  // namespace plumbline
