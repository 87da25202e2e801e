#include "common/wire/client.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <functional>
#include <thread>

#include "common/record/run_layout.hpp"
#include "common/wire/connection.hpp"
#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto kLong = 60'000ms;  // bounds a test that hangs
constexpr auto kAtOnce = 20ms;    // for timeouts that are meant to pass

Deadline soon() { return std::chrono::steady_clock::now() + kLong; }

/// A listening socket and a thread that plays the coordinator for one peer, by a script.
class ClientTest : public ScratchTest {
 protected:
  static constexpr Generation kGeneration{3};

  ClientTest() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    EXPECT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    write_secret(layout_).value();
    context_ = TlsContext::make(read_secret(layout_).value()).value();
    write_address(layout_, {"127.0.0.1", ntohs(address.sin_port), kGeneration, 1, "here"}).value();
  }
  ~ClientTest() override {
    if (thread_.joinable()) thread_.join();
  }

  void play(std::function<void(Connection&)> script) {
    thread_ = std::thread([this, script = std::move(script)] {
      SecureStream stream(accepted(), *context_, TlsSide::kServer);
      ASSERT_TRUE(stream.shake_hands(soon()).has_value());
      Connection peer(std::move(stream));
      script(peer);
    });
  }
  [[nodiscard]] FileDescriptor accepted() const {
    return FileDescriptor(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }
  static void say(Connection& peer, const Message& message, Generation generation = kGeneration) {
    EXPECT_TRUE(peer.send(to_frame(message, generation), soon()).has_value());
  }
  static std::optional<Frame> hear(Connection& peer) {
    auto frame = peer.receive(soon());
    return frame.has_value() ? std::move(frame).value() : std::nullopt;
  }
  /// Bytes that are no frame of their own.
  static void raw_send(Connection& peer, const std::string& bytes) {
    EXPECT_TRUE(peer.stream().write_all(bytes, soon()).has_value());
  }
  /// What the peer said of itself.
  static Hello greet(Connection& peer) {
    const auto frame = hear(peer);
    EXPECT_TRUE(frame.has_value());
    EXPECT_EQ(frame->generation, Generation());
    return std::get<Hello>(from_frame(*frame).value());
  }
  static Welcome invitation() { return {kGeneration, /*under_way=*/true}; }
  static void admit(Connection& peer) {
    greet(peer);
    say(peer, invitation());
  }

  [[nodiscard]] Result<ControlClient> join(Role role = Role::kWorker, std::chrono::milliseconds timeout = kLong) const {
    Hello hello;
    hello.role = role;
    hello.rank = role == Role::kWorker ? 1 : 0;
    hello.world = role == Role::kWorker ? 2 : 1;
    hello.group = "00ff";
    return ControlClient::connect(folder(), hello, timeout);
  }

  RunLayout layout_{folder()};
  std::optional<TlsContext> context_;
  FileDescriptor listener_;
  std::thread thread_;
};

TEST_F(ClientTest, KnowsWhenAnotherCoordinatorHasTakenItsPlace) {
  play([](Connection& peer) {
    admit(peer);
    static_cast<void>(peer.receive(soon()));
  });
  {
    const auto client = join().value();
    const CoordinatorAddress mine = read_address(layout_).value();
    const auto replaced_by = [&](const CoordinatorAddress& address, Generation generation = kGeneration) {
      write_address(layout_, address).value();
      return client.is_replaced(folder(), generation);
    };
    EXPECT_FALSE(replaced_by(mine));
    EXPECT_FALSE(replaced_by({mine.host, mine.port, Generation(9), mine.pid, mine.hostname}))
        << "it writes itself anew";
    EXPECT_TRUE(replaced_by({mine.host, mine.port + 1, kGeneration, mine.pid, mine.hostname}));
    EXPECT_TRUE(replaced_by({mine.host, mine.port, kGeneration, mine.pid, "there"}));
    EXPECT_FALSE(replaced_by({mine.host, mine.port, kGeneration, 77, mine.hostname}, Generation(4)))
        << "it knows less of the run than the worker";
    std::filesystem::remove(layout_.coordinator());
    EXPECT_FALSE(client.is_replaced(folder(), kGeneration)) << "nobody has";
  }
}

TEST_F(ClientTest, SaysHelloAndIsWelcomed) {
  play([](Connection& peer) {
    const Hello hello = greet(peer);
    EXPECT_EQ(hello.rank, 1);
    EXPECT_EQ(hello.world, 2);
    say(peer, invitation());
    const auto frame = hear(peer);
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->generation, kGeneration) << "from now on its frames carry the generation";
    EXPECT_EQ(std::get<Heartbeat>(from_frame(*frame).value()).phase, "training");
    say(peer, Committed{4, std::string(64, 'a')});
  });
  auto client = join();
  ASSERT_TRUE(client.has_value()) << to_string(client.error());
  EXPECT_EQ(client.value().welcome().generation, kGeneration);
  EXPECT_TRUE(client.value().welcome().under_way);
  ASSERT_TRUE(client.value().send(Heartbeat{4, "training"}).has_value());
  const auto message = client.value().receive(kLong).value();
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(std::get<Committed>(*message).step, 4);
}

TEST_F(ClientTest, AnotherSecretIsRefusedOnBothSides) {
  thread_ = std::thread([this] {
    const TlsContext other = TlsContext::make(std::string(64, '0')).value();
    SecureStream stream(accepted(), other, TlsSide::kServer);
    EXPECT_TRUE(stream.shake_hands(soon()).has_error());
  });
  const auto refused = join(Role::kClient);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, HasSubstr("did not accept this run's secret"));
  EXPECT_EQ(refused.error().where, layout_.secret().string());
}

TEST_F(ClientTest, HangingUpBeforeTheWelcomeIsNoCoordinator) {
  play([](Connection& peer) { greet(peer); });
  const auto left = join();
  ASSERT_TRUE(left.has_error());
  EXPECT_EQ(left.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(left.error().message, HasSubstr("hung up"));
  thread_.join();
  thread_ = std::thread([this] { accepted().close(); });
  EXPECT_EQ(join().error().code, ErrorCode::kEnvironment) << "and before the handshake too";
}

TEST_F(ClientTest, ARefusalComesThroughAsItIs) {
  play([](Connection& peer) {
    greet(peer);
    say(peer, Failed{6, "another fingerprint", "rank 1", "Use the same machine type."}, Generation());
  });
  const auto refused = join();
  EXPECT_EQ(refused.error().code, ErrorCode::kEnvironment);
  EXPECT_EQ(to_string(refused.error()), "rank 1: another fingerprint\n  Use the same machine type.");
}

TEST_F(ClientTest, NoCoordinatorIsAnEnvironmentErrorThatSaysHowToGoOn) {
  listener_.close();
  const auto nobody = join(Role::kClient);
  ASSERT_TRUE(nobody.has_error());
  EXPECT_EQ(nobody.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(nobody.error().message, HasSubstr("no coordinator answers at 127.0.0.1:"));
  EXPECT_THAT(nobody.error().hint, HasSubstr("plumbline resume " + folder().string()));
  std::filesystem::remove(layout_.coordinator());
  EXPECT_EQ(join().error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(join().error().message, HasSubstr("no coordinator serves this run"));
}

TEST_F(ClientTest, WhatIsWrongInTheRunDirectoryIsSaid) {
  const auto missing = ControlClient::connect(file("nowhere"), {}, kLong);
  EXPECT_EQ(missing.error().code, ErrorCode::kData);
  EXPECT_THAT(missing.error().where, HasSubstr("nowhere"));
  chmod(layout_.secret().c_str(), 0644);
  EXPECT_EQ(join().error().code, ErrorCode::kUsage);
  std::filesystem::remove(layout_.secret());
  EXPECT_EQ(join().error().where, layout_.secret().string());
}

TEST_F(ClientTest, SomebodyElseOnThePortIsNoCoordinator) {
  const auto silent = join(Role::kClient, kAtOnce);  // accepted by the kernel, answered by no one
  EXPECT_EQ(silent.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(silent.error().message, HasSubstr("no coordinator"));
  accepted().close();
  thread_ = std::thread([this] {
    const FileDescriptor socket = accepted();
    const std::string page = "HTTP/1.1 400 Bad Request\r\n\r\n";
    EXPECT_EQ(::send(socket.get(), page.data(), page.size(), MSG_NOSIGNAL), static_cast<ssize_t>(page.size()));
    EXPECT_EQ(wait_for(socket.get(), Readiness::kReadable, soon()), Wait::kReady);
  });
  const auto page = join(Role::kClient);
  EXPECT_EQ(page.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(page.error().message, HasSubstr("is no coordinator"));
}

TEST_F(ClientTest, WaitingForTheGroupIsBounded) {
  play([](Connection& peer) {
    greet(peer);
    hear(peer);  // until the client gives up
  });
  const auto waited = join(Role::kWorker, 200ms);
  ASSERT_TRUE(waited.has_error());
  EXPECT_EQ(waited.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(waited.error().message, HasSubstr("in time"));
}

TEST_F(ClientTest, WhatIsNotTheProtocolIsAnError) {
  play([](Connection& peer) {
    greet(peer);
    say(peer, Heartbeat{1, "x"});
  });
  EXPECT_THAT(join().error().message, HasSubstr("Heartbeat where Welcome"));
}

TEST_F(ClientTest, AWorkerRefusesAnotherGeneration) {
  play([](Connection& peer) {
    admit(peer);
    say(peer, Committed{4, std::string(64, 'a')}, kGeneration + 1);
  });
  auto client = join().value();
  const auto stale = client.receive(kLong);
  ASSERT_TRUE(stale.has_error());
  EXPECT_THAT(stale.error().message, HasSubstr("generation 4"));
}

TEST_F(ClientTest, AnAssignmentBringsTheNextGeneration) {
  Assignment next;
  next.generation = kGeneration + 1;
  play([&](Connection& peer) {
    admit(peer);
    say(peer, next, kGeneration + 1);
    const auto frame = hear(peer);
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->generation, kGeneration + 1) << "it speaks in the new one";
    say(peer, Finished{1}, kGeneration);
  });
  auto client = join().value();
  EXPECT_TRUE(std::holds_alternative<Assignment>(*client.receive(kLong).value()));
  client.speak_in(kGeneration + 1);
  ASSERT_TRUE(client.send(Heartbeat{1, "training"}).has_value());
  EXPECT_TRUE(client.receive(kLong).has_error()) << "what the generation before still says is refused";
}

TEST_F(ClientTest, AWorkerRefusesAWelcomeOfTwoGenerations) {
  play([](Connection& peer) {
    greet(peer);
    say(peer, invitation(), kGeneration + 1);
  });
  EXPECT_TRUE(join().has_error());
}

TEST_F(ClientTest, ACommandAcceptsTheGenerationOfTheDay) {
  play([](Connection& peer) {
    admit(peer);
    const auto asked = hear(peer);
    ASSERT_TRUE(asked.has_value());
    EXPECT_TRUE(std::holds_alternative<StatusRequest>(from_frame(*asked).value()));
    say(peer, StatusReply{{{"step", 9}}}, kGeneration + 1);
  });
  auto client = join(Role::kClient).value();
  ASSERT_TRUE(client.send(StatusRequest{}).has_value());
  const auto reply = client.receive(kLong).value();
  EXPECT_EQ(std::get<StatusReply>(*reply).status["step"], 9);
}

TEST_F(ClientTest, AFrameMayArriveInPieces) {
  play([](Connection& peer) {
    admit(peer);
    hear(peer);
    const std::string bytes = encode_frame(to_frame(Finished{7}, kGeneration)).value();
    // Two frames in one piece, then the rest of the second.
    raw_send(peer, bytes + bytes.substr(0, 40));
    hear(peer);
    raw_send(peer, bytes.substr(40));
    hear(peer);
  });
  auto client = join().value();
  client.send(Finished{1}).value();
  EXPECT_EQ(std::get<Finished>(*client.receive(kLong).value()).step, 7);
  EXPECT_EQ(client.receive(kAtOnce).value(), std::nullopt) << "half a frame is no message yet";
  client.send(Finished{1}).value();
  EXPECT_EQ(std::get<Finished>(*client.receive(kLong).value()).step, 7);
}

TEST_F(ClientTest, ABadFrameEndsTheConnection) {
  play([](Connection& peer) {
    admit(peer);
    raw_send(peer, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    hear(peer);
  });
  auto client = join().value();
  EXPECT_THAT(client.receive(kLong).error().message, HasSubstr("malformed frame"));
}

TEST_F(ClientTest, ALostConnectionIsAnErrorAndNoSignal) {
  play([](Connection& peer) { admit(peer); });
  auto client = join().value();
  thread_.join();
  EXPECT_TRUE(client.receive(kLong).has_error());
  Status sent;
  for (int i = 0; i < 100 && sent.has_value(); ++i) sent = client.send(Heartbeat{1, std::string(1000, 'x')});
  EXPECT_TRUE(sent.has_error());
  EXPECT_TRUE(client.send(Finished{1}).has_error()) << "and it stays lost";
}

TEST_F(ClientTest, AnyThreadMaySend) {
  constexpr int kThreads = 4, kMessages = 200;
  play([](Connection& peer) {
    admit(peer);
    for (int i = 0; i < kThreads * kMessages; ++i) {
      const auto frame = hear(peer);
      ASSERT_TRUE(frame.has_value());
      EXPECT_EQ(std::get<Heartbeat>(from_frame(*frame).value()).phase.size(), 500u);
    }
    say(peer, Finished{1});
  });
  auto client = join().value();
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t)
    senders.emplace_back([&client] {
      for (int i = 0; i < kMessages; ++i) client.send(Heartbeat{i, std::string(500, 'p')}).value();
    });
  EXPECT_TRUE(std::holds_alternative<Finished>(*client.receive(kLong).value()));
  for (auto& sender : senders) sender.join();
}

}  // namespace
}  // namespace plumbline
