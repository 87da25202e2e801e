// TLS under the run's key: over socket pairs, both ends in one thread unless waiting is what is tested.
#include "common/wire/tls.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <array>
#include <future>
#include <memory>
#include <vector>

#include "common/core/file_descriptor.hpp"
#include "common/core/files.hpp"
#include "common/wire/secure_stream.hpp"

namespace plumbline {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

const std::string kSecret(64, 'a'), kOtherSecret(64, 'b');
constexpr auto kPatience = 60s;  // bounds a test that hangs

Deadline in_time() { return std::chrono::steady_clock::now() + kPatience; }
Deadline now() { return std::chrono::steady_clock::now(); }

struct SocketPair {
  FileDescriptor client, server;
};
SocketPair socket_pair() {
  std::array<int, 2> ends{};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

/// Both ends as far as they come without waiting for anyone else. Empty: both have shaken hands.
struct Failures {
  std::optional<Error> client, server;
};
Failures shake(TlsSession& client, TlsSession& server) {
  Failures failures;
  for (int turn = 0; turn < 10; ++turn) {
    const auto c = client.handshake();
    const auto s = server.handshake();
    if (c.has_error()) failures.client = c.error();
    if (s.has_error()) failures.server = s.error();
    if (c.has_error() || s.has_error() || (!c->wait && !s->wait)) break;
  }
  if (failures.server && !failures.client)
    if (const auto c = client.handshake(); c.has_error()) failures.client = c.error();
  return failures;
}

/// Two ends that have shaken hands.
struct Pair {
  explicit Pair(TlsContext context = TlsContext::make(kSecret).value())
      : client(sockets.client.get(), context, TlsSide::kClient),
        server(sockets.server.get(), context, TlsSide::kServer) {
    const Failures failures = shake(client, server);
    EXPECT_FALSE(failures.client) << to_string(*failures.client);
    EXPECT_FALSE(failures.server) << to_string(*failures.server);
  }
  SocketPair sockets = socket_pair();
  TlsSession client, server;
};

std::string read_now(TlsSession& session) {
  std::string all;
  std::array<char, 1000> block{};
  for (;;) {
    const auto step = session.read_some(block);
    if (step.has_error() || step->wait) return all;
    all.append(block.data(), step->bytes);
  }
}

TEST(TlsTest, BothEndsProveTheKeyAndTalk) {
  Pair pair;
  EXPECT_EQ(pair.client.write_some("from the client")->bytes, 15u);
  EXPECT_EQ(read_now(pair.server), "from the client");
  EXPECT_EQ(pair.server.write_some("from the server")->bytes, 15u);
  EXPECT_EQ(read_now(pair.client), "from the server");
  std::array<char, 10> none{};
  EXPECT_EQ(pair.client.read_some(none)->wait, Readiness::kReadable);
  EXPECT_EQ(pair.client.end(), TlsEnd::kNone);
}

TEST(TlsTest, AnotherSecretEndsTheHandshakeOnBothSides) {
  const TlsContext ours = TlsContext::make(kSecret).value(), theirs = TlsContext::make(kOtherSecret).value();
  EXPECT_NE(ours.identity(), theirs.identity());
  const SocketPair sockets = socket_pair();
  TlsSession client(sockets.client.get(), theirs, TlsSide::kClient),
      server(sockets.server.get(), ours, TlsSide::kServer);
  const Failures failures = shake(client, server);
  EXPECT_TRUE(failures.server);
  EXPECT_TRUE(failures.client);
  EXPECT_EQ(client.end(), TlsEnd::kRefused);
}

/// An SSL_CTX of someone else, with whatever it can bring along.
struct Stranger {
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context{SSL_CTX_new(TLS_method()), SSL_CTX_free};
  std::unique_ptr<SSL, void (*)(SSL*)> ssl{nullptr, SSL_free};
  void attach(int socket) {
    ssl.reset(SSL_new(context.get()));
    SSL_set_fd(ssl.get(), socket);
  }
};

/// The right name of the key, the wrong key.
TEST(TlsTest, TheNameOfTheKeyIsNotTheKey) {
  const TlsContext context = TlsContext::make(kSecret).value();
  static std::string identity;
  identity = context.identity();
  Stranger stranger;
  SSL_CTX_set_psk_use_session_callback(
      stranger.context.get(), [](SSL* ssl, const EVP_MD*, const unsigned char** id, size_t* bytes, SSL_SESSION** out) {
        const std::array<unsigned char, 2> suite{0x13, 0x01};
        const std::array<unsigned char, 32> guess{};
        *out = SSL_SESSION_new();
        SSL_SESSION_set1_master_key(*out, guess.data(), guess.size());
        SSL_SESSION_set_cipher(*out, SSL_CIPHER_find(ssl, suite.data()));
        SSL_SESSION_set_protocol_version(*out, TLS1_3_VERSION);
        *id = reinterpret_cast<const unsigned char*>(identity.data());
        *bytes = identity.size();
        return 1;
      });
  const SocketPair sockets = socket_pair();
  stranger.attach(sockets.client.get());
  TlsSession server(sockets.server.get(), context, TlsSide::kServer);
  SSL_connect(stranger.ssl.get());
  const auto step = server.handshake();
  ASSERT_TRUE(step.has_error());
  EXPECT_EQ(server.end(), TlsEnd::kImpostor);
  EXPECT_EQ(SSL_connect(stranger.ssl.get()), -1);
}

/// A server without the key that shows a certificate in its place.
TEST(TlsTest, ACertificateIsNoKey) {
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, void (*)(X509*)> certificate(X509_new(), X509_free);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  ASSERT_GT(X509_sign(certificate.get(), key.get(), EVP_sha256()), 0);
  Stranger stranger;
  ASSERT_EQ(SSL_CTX_use_certificate(stranger.context.get(), certificate.get()), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey(stranger.context.get(), key.get()), 1);
  const SocketPair sockets = socket_pair();
  stranger.attach(sockets.server.get());
  TlsSession client(sockets.client.get(), TlsContext::make(kSecret).value(), TlsSide::kClient);
  EXPECT_EQ(client.handshake()->wait, Readiness::kReadable);
  SSL_accept(stranger.ssl.get());
  EXPECT_TRUE(client.handshake().has_error());
  EXPECT_EQ(client.end(), TlsEnd::kImpostor);
}

/// Who has no key at all, or an older TLS.
TEST(TlsTest, WithoutAKeyOrWithAnOlderTlsThereIsNoWayIn) {
  for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    Stranger stranger;
    SSL_CTX_set_max_proto_version(stranger.context.get(), version);
    const SocketPair sockets = socket_pair();
    stranger.attach(sockets.client.get());
    TlsSession server(sockets.server.get(), TlsContext::make(kSecret).value(), TlsSide::kServer);
    SSL_connect(stranger.ssl.get());
    EXPECT_TRUE(server.handshake().has_error()) << version;
    EXPECT_EQ(SSL_connect(stranger.ssl.get()), -1) << version;
  }
}

TEST(TlsTest, WhatIsNotTlsIsSaid) {
  const SocketPair sockets = socket_pair();
  TlsSession server(sockets.server.get(), TlsContext::make(kSecret).value(), TlsSide::kServer);
  const std::string page = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_EQ(send(sockets.client.get(), page.data(), page.size(), 0), static_cast<ssize_t>(page.size()));
  EXPECT_TRUE(server.handshake().has_error());
  EXPECT_EQ(server.end(), TlsEnd::kNotTls);
}

/// Passes on what there is, and returns it.
std::string pass_on(int from, int to) {
  std::string bytes(1 << 16, '\0');
  const ssize_t got = recv(from, bytes.data(), bytes.size(), 0);
  bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  if (!bytes.empty()) {
    EXPECT_EQ(send(to, bytes.data(), bytes.size(), 0), got);
  }
  return bytes;
}

/// A listener between both: what it sees, and what it can do with it later.
TEST(TlsTest, AListenerLearnsNothingAndCannotReplay) {
  const TlsContext context = TlsContext::make(kSecret).value();
  const SocketPair left = socket_pair(), right = socket_pair();
  TlsSession client(left.client.get(), context, TlsSide::kClient),
      server(right.server.get(), context, TlsSide::kServer);
  std::string from_client, from_server;
  const auto relay = [&] {
    from_client += pass_on(left.server.get(), right.client.get());
    from_server += pass_on(right.client.get(), left.server.get());
  };
  for (int turn = 0; turn < 5; ++turn) {
    ASSERT_TRUE(client.handshake().has_value());
    relay();
    ASSERT_TRUE(server.handshake().has_value());
    relay();
  }
  const std::size_t first_flight = from_server.size();
  ASSERT_TRUE(client.write_some("a heartbeat").has_value());
  relay();
  EXPECT_EQ(read_now(server), "a heartbeat");
  relay();
  EXPECT_EQ(from_server.size(), first_flight) << "no ticket is handed out";
  for (const std::string& seen : {from_client, from_server})
    for (const std::string& hidden : {kSecret, context.key(), std::string("a heartbeat")})
      EXPECT_THAT(seen, Not(HasSubstr(hidden)));
  EXPECT_THAT(from_client, HasSubstr(context.identity()));
  EXPECT_THAT(from_server, HasSubstr(std::string("\x00\x33\x00\x24\x00\x1d\x00\x20", 8)))
      << "a share of X25519: without it the key alone would open what was recorded";

  const SocketPair later = socket_pair();
  TlsSession again(later.server.get(), context, TlsSide::kServer);
  ASSERT_GT(send(later.client.get(), from_client.data(), from_client.size(), 0), 0);
  while (true) {
    const auto step = again.handshake();
    if (step.has_error()) break;
    ASSERT_TRUE(step->wait) << "a replayed handshake was accepted";
  }
  EXPECT_NE(again.end(), TlsEnd::kNone);
}

TEST(TlsTest, AnAlteredRecordEndsTheConnection) {
  const TlsContext context = TlsContext::make(kSecret).value();
  const SocketPair left = socket_pair(), right = socket_pair();
  TlsSession client(left.client.get(), context, TlsSide::kClient),
      server(right.server.get(), context, TlsSide::kServer);
  for (int turn = 0; turn < 5; ++turn) {
    ASSERT_TRUE(client.handshake().has_value());
    pass_on(left.server.get(), right.client.get());
    ASSERT_TRUE(server.handshake().has_value());
    pass_on(right.client.get(), left.server.get());
  }
  ASSERT_TRUE(client.write_some("stop").has_value());
  std::string bytes(1000, '\0');
  bytes.resize(static_cast<std::size_t>(recv(left.server.get(), bytes.data(), bytes.size(), 0)));
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_GT(send(right.client.get(), bytes.data(), bytes.size(), 0), 0);
  std::array<char, 10> block{};
  EXPECT_TRUE(server.read_some(block).has_error());
}

TEST(TlsTest, TheSendingKeyIsChangedInTime) {
  TlsContext context = TlsContext::make(kSecret).value();
  context.rekey_after(3);
  Pair pair(context);
  std::string expected, got;
  for (int i = 0; i < 20; ++i) {
    const std::string text = "message " + std::to_string(i);
    ASSERT_EQ(pair.client.write_some(text)->bytes, text.size());
    ASSERT_EQ(pair.server.write_some(text)->bytes, text.size());
    expected += text;
    got += read_now(pair.server);
    EXPECT_EQ(read_now(pair.client), text);
  }
  EXPECT_EQ(got, expected);
  EXPECT_EQ(pair.client.rekeyed(), 6u);
  EXPECT_EQ(pair.server.rekeyed(), 6u);
}

TEST(TlsTest, AGoodbyeAndABrokenSocketAreBothTheEnd) {
  Pair pair;
  pair.client.say_goodbye();
  std::array<char, 10> block{};
  EXPECT_TRUE(pair.server.read_some(block).has_error());
  EXPECT_EQ(pair.server.end(), TlsEnd::kHungUp);
  Pair cut;
  cut.sockets.client.close();
  EXPECT_TRUE(cut.server.read_some(block).has_error());
  EXPECT_EQ(cut.server.end(), TlsEnd::kHungUp);
  EXPECT_TRUE(cut.server.write_some("x").has_error()) << "and no SIGPIPE";
}

struct Streams {
  explicit Streams(const TlsContext& context = TlsContext::make(kSecret).value())
      : client(std::move(sockets.client), context, TlsSide::kClient),
        server(std::move(sockets.server), context, TlsSide::kServer) {
    auto other = std::async(std::launch::async, [this] { return server.shake_hands(in_time()); });
    EXPECT_TRUE(client.shake_hands(in_time()).has_value());
    EXPECT_TRUE(other.get().has_value());
  }
  SocketPair sockets = socket_pair();
  SecureStream client, server;
};

std::string read_all(SecureStream& stream, std::size_t bytes) {
  std::string all;
  std::vector<char> block(100'000);
  while (all.size() < bytes) {
    const auto got = stream.read_some(block, in_time());
    if (got.has_error() || got.value() == 0) break;
    all.append(block.data(), got.value());
  }
  return all;
}

/// Each end reads in one thread while it writes in another, more than any buffer holds, under keys that change.
TEST(SecureStreamTest, BothWaysAtOnce) {
  TlsContext context = TlsContext::make(kSecret).value();
  context.rekey_after(7);
  Streams streams(context);
  const std::size_t size = 3u << 20;
  const std::string a = random_bytes(size), b = random_bytes(size);
  auto write_a = std::async(std::launch::async, [&] { return streams.client.write_all(a, in_time()); });
  auto write_b = std::async(std::launch::async, [&] { return streams.server.write_all(b, in_time()); });
  auto read_b = std::async(std::launch::async, [&] { return read_all(streams.client, size); });
  EXPECT_TRUE(read_all(streams.server, size) == a);
  EXPECT_TRUE(read_b.get() == b);
  EXPECT_TRUE(write_a.get().has_value() && write_b.get().has_value());
  EXPECT_GT(streams.client.session().rekeyed(), 20u);
}

TEST(SecureStreamTest, EveryCallHasItsDeadline) {
  SocketPair sockets = socket_pair();
  SecureStream alone(std::move(sockets.client), TlsContext::make(kSecret).value(), TlsSide::kClient);
  const Status unanswered = alone.shake_hands(now());
  ASSERT_TRUE(unanswered.has_error());
  EXPECT_EQ(alone.end(), TlsEnd::kNone) << "it is not over, only late";
  Streams streams;
  std::vector<char> block(10);
  EXPECT_EQ(streams.client.read_some(block, now()).value(), 0u);
  const Status unread = streams.client.write_all(std::string(64u << 20, 'x'), now() + 50ms);
  ASSERT_TRUE(unread.has_error());
  EXPECT_THAT(unread.error().message, HasSubstr("does not read"));
}

TEST(SecureStreamTest, ConnectsOverTcp) {
  const FileDescriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 4), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto serve = [&](const std::string& secret) {
    return std::async(std::launch::async, [&listener, secret] {
      SecureStream stream(FileDescriptor(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)),
                          TlsContext::make(secret).value(), TlsSide::kServer);
      return stream.shake_hands(in_time()).has_value() ? read_all(stream, 5) : "refused";
    });
  };
  const TlsContext context = TlsContext::make(kSecret).value();
  auto served = serve(kSecret);
  auto stream = SecureStream::connect("127.0.0.1", ntohs(address.sin_port), context, in_time());
  ASSERT_TRUE(stream.has_value()) << to_string(stream.error());
  EXPECT_TRUE(stream->write_all("hello", in_time()).has_value());
  EXPECT_EQ(served.get(), "hello");
  served = serve(kOtherSecret);
  TlsEnd end = TlsEnd::kNone;
  EXPECT_TRUE(SecureStream::connect("127.0.0.1", ntohs(address.sin_port), context, in_time(), &end).has_error());
  EXPECT_EQ(end, TlsEnd::kRefused);
  EXPECT_EQ(served.get(), "refused");
  EXPECT_EQ(SecureStream::connect("no host of this name.", 1, context, in_time()).error().code,
            ErrorCode::kEnvironment);
}

}  // namespace
}  // namespace plumbline
