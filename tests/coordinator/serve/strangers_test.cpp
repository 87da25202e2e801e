// Those who are not welcome, over real sockets, while workers train: none disturbs the run.
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <sstream>

#include "common/record/metrics.hpp"
#include "common/wire/connection.hpp"
#include "coordinator/serve/listener.hpp"
#include "tests/coordinator/serve/no_launcher.hpp"
#include "tests/coordinator/serve/run_fixture.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class StrangersTest : public RunFixture {
 protected:
  StrangersTest() { create_run(layout, config).value(); }

  void train_to(std::int64_t step) {
    script.allow(step);
    start_serving();
    status_at(step);
  }
  /// The run goes on as if nothing had been.
  void goes_on() {
    script.allow(1'000'000);
    const auto outcome = served.get();
    ASSERT_TRUE(outcome.has_value()) << to_string(outcome.error());
    EXPECT_EQ(outcome->step, Step(12));
    EXPECT_EQ(read_metrics(layout.metrics()).value().size(), 12u);
    EXPECT_THAT(events(), testing::Contains("generation_started").Times(1));
  }

  /// A connection without TLS.
  asio::ip::tcp::socket connect_raw() {
    const auto address = read_address(layout).value();
    asio::ip::tcp::socket socket(io);
    socket.connect({asio::ip::make_address(address.host), static_cast<std::uint16_t>(address.port)});
    return socket;
  }
  /// Reads until the coordinator hangs up.
  static std::string read_to_end(asio::ip::tcp::socket& socket) {
    std::string said;
    boost::system::error_code end;
    asio::read(socket, asio::dynamic_buffer(said), end);
    return said;
  }
  static Deadline soon() { return std::chrono::steady_clock::now() + kPatience; }
  /// A connection of someone who has the key and says nothing yet.
  [[nodiscard]] Connection connect_with_key() const {
    const auto address = read_address(layout).value();
    const auto context = TlsContext::make(read_secret(layout).value()).value();
    return Connection(SecureStream::connect(address.host, address.port, context, soon()).value());
  }
  static void expect_cut_off(Connection& connection) {
    for (;;) {
      const auto frame = connection.receive(soon());
      if (frame.has_error()) break;
      ASSERT_TRUE(frame.value()) << "it is not cut off";
    }
    EXPECT_TRUE(connection.hung_up());
  }
  asio::io_context io;
};

TEST_F(StrangersTest, ThoseWhoDoNotKnowTheSecretChangeNothing) {
  train_to(5);
  const RunLayout impostor(folder.path() / "impostor");
  fs::create_directories(impostor.root());
  fs::copy(layout.coordinator(), impostor.coordinator());
  write_secret(impostor).value();
  for (const Role role : {Role::kClient, Role::kWorker}) {
    Hello hello;
    hello.role = role;
    const auto refused = ControlClient::connect(impostor.root(), hello, kPatience);
    ASSERT_TRUE(refused.has_error());
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
    EXPECT_THAT(refused.error().message, HasSubstr("secret"));
  }
  goes_on();
}

TEST_F(StrangersTest, WhatIsNotTlsEndsTheConnection) {
  train_to(5);
  std::string header = "PLBL", record("\x16\x03\x01\xff\xff", 5);
  header.resize(kFrameHeaderBytes, '\xff');
  record.resize(70'000, 'x');
  for (const std::string& garbage : {std::string(100, 'x'), std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n       "),
                                     header, record, encode_frame(to_frame(StopRequest{}, Generation())).value()}) {
    auto socket = connect_raw();
    boost::system::error_code ignored;
    asio::write(socket, asio::buffer(garbage), ignored);
    read_to_end(socket);  // It ends.
  }
  goes_on();
}

/// The key lets someone in; it does not make what they say right.
TEST_F(StrangersTest, WithTheKeyToo_WhatIsNotTheProtocolEndsTheConnection) {
  train_to(5);
  std::string huge = encode_frame(to_frame(Finished{1}, Generation())).value();
  for (int at = 16; at < 20; ++at) huge[static_cast<std::size_t>(at)] = '\xff';
  const std::string hello = encode_frame(to_frame(client_hello(), Generation())).value();
  for (const std::string& said :
       {huge, std::string(100, 'x'), encode_frame(to_frame(StopRequest{}, Generation())).value(),
        encode_frame(Frame{1, Generation(), "{not json"}).value(), encode_frame(Frame{999, Generation(), "{}"}).value(),
        hello + huge, hello + hello, hello + encode_frame(to_frame(Finished{1}, Generation(1))).value()}) {
    Connection connection = connect_with_key();
    ASSERT_TRUE(connection.stream().write_all(said, soon()).has_value());
    expect_cut_off(connection);
  }
  goes_on();
}

TEST_F(StrangersTest, SlowHandshakesAreCutOff) {
  limits.handshake = 200ms;
  train_to(5);
  auto silent = connect_raw();
  auto slow = connect_raw();
  asio::write(slow, asio::buffer("\x16\x03\x01\x01\x00", 5));  // a record of 256 bytes that never come
  Connection half_open = connect_with_key();                   // says no Hello
  EXPECT_EQ(read_to_end(silent), "");
  EXPECT_EQ(read_to_end(slow), "");
  expect_cut_off(half_open);
  goes_on();
}

TEST_F(StrangersTest, ASilentClientIsCutOff) {
  limits.client_silence = 200ms;
  train_to(5);
  auto client = ControlClient::connect(layout.root(), client_hello(), kPatience).value();
  EXPECT_TRUE(client.receive(kPatience).has_error()) << "it is cut off long before";
  goes_on();
}

TEST_F(StrangersTest, WhoDoesNotReadIsCutOff) {
  limits.outgoing_bytes = 100'000;
  train_to(5);
  auto client = ControlClient::connect(layout.root(), client_hello(), kPatience).value();
  while (client.send(StatusRequest{}).has_value()) {
  }
  goes_on();
}

/// More idle connections than there are places: those who came first make room.
TEST_F(StrangersTest, IdleConnectionsMakeWayForThoseWhoKnowTheKey) {
  train_to(5);
  std::vector<asio::ip::tcp::socket> idle;
  for (int i = 0; i < 40; ++i) idle.push_back(connect_raw());
  EXPECT_EQ(status_at(5).at("workers").size(), 2u);
  for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ(read_to_end(idle[i]), "") << "in the order in which they came";
  goes_on();
}

TEST_F(StrangersTest, FiveThousandIdleConnections) {
  if (raise_descriptor_limit() < 8'000) GTEST_SKIP() << "this process may not have so many descriptors";
  admission.strangers = 1'024;
  train_to(5);
  std::vector<asio::ip::tcp::socket> idle;
  for (int i = 0; i < 5'000; ++i) idle.push_back(connect_raw());
  EXPECT_EQ(status_at(5).at("workers").size(), 2u);
  goes_on();
}

/// All connections are taken: the next is told by its end.
TEST_F(StrangersTest, ConnectionsAreBounded) {
  admission.connections = 4;  // two workers, and
  train_to(5);
  std::vector<ControlClient> clients;
  for (int i = 0; i < 2;) {
    auto client = ControlClient::connect(layout.root(), client_hello(), kPatience);
    if (client.has_error()) continue;  // the fixture's own is not gone yet
    clients.push_back(std::move(client).value());
    ++i;
  }
  const auto one_too_many = ControlClient::connect(layout.root(), client_hello(), kPatience);
  ASSERT_TRUE(one_too_many.has_error());
  EXPECT_EQ(one_too_many.error().code, ErrorCode::kEnvironment);
  clients.clear();
  EXPECT_EQ(status_at(5).at("step"), 5) << "with them gone there is room again";
  goes_on();
}

/// It has the key, and comes again and again.
TEST_F(StrangersTest, AWorkerOfAPastGenerationIsRefused) {
  train_to(5);
  Hello late;
  late.rank = 1, late.world = 2, late.group = std::string(32, 'e'), late.fingerprint = "cpu";
  late.generation = Generation(1);
  for (int i = 0; i < 20; ++i) {
    const auto refused = ControlClient::connect(layout.root(), late, kPatience);
    ASSERT_TRUE(refused.has_error());
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
    EXPECT_THAT(refused.error().message, HasSubstr("takes no workers now"));
  }
  goes_on();
}

/// What a worker said in one generation is refused in the next, whoever says it again.
TEST_F(StrangersTest, AReplayAcrossGenerationsIsRefused) {
  const auto serve_alone = [this] {
    served = std::async(std::launch::async, [this]() -> Result<RunOutcome> {
      PLUMBLINE_ASSIGN(ServableRun run, open_run(layout, config, 1, std::make_unique<NoLauncher>()));
      run.tick = 5ms;
      Coordinator coordinator(std::move(run));
      return coordinator.serve();
    });
    while (!fs::exists(layout.coordinator())) std::this_thread::yield();
  };
  const auto join = [this](Generation generation) {
    Hello hello;
    hello.group = std::string(32, 'a'), hello.fingerprint = "cpu";
    for (;;) {
      Connection connection = connect_with_key();
      EXPECT_TRUE(connection.send(to_frame(hello, Generation()), soon()).has_value());
      const auto frame = connection.receive(soon());
      const auto answer = from_frame(frame.value().value()).value();
      if (std::holds_alternative<Failed>(answer)) continue;  // it does not gather its group yet
      EXPECT_TRUE(std::holds_alternative<Welcome>(answer));
      const auto assigned = connection.receive(soon());
      EXPECT_EQ(std::get<Assignment>(from_frame(assigned.value().value()).value()).generation, generation);
      return connection;
    }
  };
  const Frame step = to_frame(StepDone{1, {{"kind", "train"}, {"step", 1}, {"loss", 1.0}}}, Generation(1));
  serve_alone();
  {
    Connection worker = join(Generation(1));
    ASSERT_TRUE(worker.send(step, soon()).has_value());
    while (!fs::exists(layout.metrics())) std::this_thread::yield();
  }
  EXPECT_TRUE(served.get().has_error()) << "its only worker is gone";
  ASSERT_EQ(read_metrics(layout.metrics()).value().size(), 1u);
  serve_alone();
  Connection worker = join(Generation(2));
  ASSERT_TRUE(worker.send(step, soon()).has_value());
  expect_cut_off(worker);
  EXPECT_TRUE(served.get().has_error());
  EXPECT_EQ(read_metrics(layout.metrics()).value().size(), 1u) << "what was replayed is not recorded";
}

TEST_F(StrangersTest, OnEveryAddressItIsFoundByOneThatOthersCanReach) {
  config.control.bind = "0.0.0.0";
  train_to(5);
  EXPECT_THAT(read_address(layout)->host, Not(testing::AnyOf("0.0.0.0", "")));
  goes_on();
}

TEST(ListenerTest, AnAddressThatTheMachineDoesNotHaveIsSaid) {
  ControlConfig control;
  control.bind = "203.0.113.7";  // of documentation
  const Status refused = check_listener(control);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, ErrorCode::kEnvironment);
  EXPECT_EQ(refused.error().where, "control.bind");
  control.bind = "0.0.0.0";
  EXPECT_TRUE(check_listener(control).has_value());
}

TEST(ListenerTest, OnlyEveryAddressIsSaidOtherwise) {
  EXPECT_EQ(address_for_others("127.0.0.1"), "127.0.0.1");
  EXPECT_EQ(address_for_others("192.168.3.4"), "192.168.3.4");
  for (const char* bind : {"0.0.0.0", "::"}) {
    EXPECT_NE(address_for_others(bind), bind);
    EXPECT_FALSE(address_for_others(bind).empty());
  }
}

}  // namespace
}  // namespace plumbline
