// What `plumbline bench coordinator` puts upon a coordinator: workers that compute nothing, and strangers.
//
//   coordinator_load join RUN --workers N [--joining J] [--seconds S]
//     N workers connect (J at a time), prove the key, say hello and get their assignments: the rendezvous. Then for S
//     seconds each sends a heartbeat a second and rank 0 the metrics of a step, while a client asks for the status, a
//     second one for the status of every worker, and a third comes anew. One JSON object on standard output.
//   coordinator_load strangers RUN --connections K --seconds S
//     K connections that say nothing, besides some with another key, some with noise, some with the header of a frame
//     of 4 GiB, and some with the run's key that are workers of a generation that is over. Whoever is closed comes
//     again after a second.
//
// The clock of an answer is this program's, its own delays included, which makes figures worse and never better.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "common/core/files.hpp"
#include "common/record/run_layout.hpp"
#include "common/wire/client.hpp"
#include "common/wire/tls.hpp"
#include "coordinator/serve/admission.hpp"

namespace plumbline {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;
using Time = std::chrono::steady_clock::time_point;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr auto kTurn = 10ms;  ///< heartbeats are sent in as many turns as a second has
constexpr auto kStatusEvery = 200ms, kListEvery = 1000ms, kEnterEvery = 500ms;
constexpr std::chrono::milliseconds kPatience{60'000};

Time now() { return std::chrono::steady_clock::now(); }
double ms_since(Time start) { return std::chrono::duration<double, std::milli>(now() - start).count(); }

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "coordinator_load: %s\n", why.c_str());
  std::exit(4);
}
template <class T>
T must(Result<T> result) {
  if (result.has_error()) fail(to_string(result.error()));
  return std::move(result).value();
}

Json summary(std::vector<double> values) {
  if (values.empty()) return {{"count", 0}};
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
  };
  return {{"count", values.size()}, {"median", at(0.5)}, {"p99", at(0.99)}, {"max", values.back()}};
}

// --- the coordinator's process, from outside

struct Process {
  double cpu_seconds = 0;
  std::int64_t resident_bytes = 0, peak_bytes = 0;
};

Process look_at(std::int64_t pid) {
  Process process;
  std::ifstream stat(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  if (text.empty()) fail("the coordinator's process is gone");
  std::istringstream fields(text.substr(text.rfind(')') + 2));  // the third field and on
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  process.cpu_seconds = (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) process.resident_bytes = std::stoll(line.substr(6)) * 1024;
    if (line.starts_with("VmHWM:")) process.peak_bytes = std::stoll(line.substr(6)) * 1024;
  }
  return process;
}

// --- workers

struct Place {
  explicit Place(const std::filesystem::path& run)
      : layout(run),
        address(must(read_address(layout))),
        context(must(TlsContext::make(must(read_secret(layout))))),
        endpoint(asio::ip::make_address(address.host), static_cast<std::uint16_t>(address.port)) {}
  RunLayout layout;
  CoordinatorAddress address;
  TlsContext context;
  tcp::endpoint endpoint;
};

struct Tally {
  int assigned = 0, lost = 0;
  std::int64_t heartbeats = 0, steps = 0;
  Time step_sent;
  std::vector<double> lease_ms;  ///< from a step that was reported to the lease that it made longer, at every worker
};

class SimulatedWorker {
 public:
  SimulatedWorker(asio::io_context& io, const Place& place, Hello hello, Tally& tally)
      : socket_(io), place_(place), hello_(std::move(hello)), tally_(tally) {}

  /// Until it is let in and has its assignment.
  asio::awaitable<void> join() {
    const auto [error] = co_await socket_.async_connect(place_.endpoint, kAwait);
    if (error) fail("a worker cannot connect: " + error.message());
    socket_.native_non_blocking(true);
    socket_.set_option(tcp::no_delay(true));
    tls_.emplace(socket_.native_handle(), place_.context, TlsSide::kClient);
    for (;;) {
      const auto step = tls_->handshake();
      if (step.has_error()) fail("a worker's handshake: " + to_string(step.error()));
      if (!step->wait) break;
      co_await ready(*step->wait);
    }
    send(hello_);
    const Message answer = co_await read();
    const auto* welcome = std::get_if<Welcome>(&answer);
    if (welcome == nullptr) fail("a worker is not welcomed: " + to_frame(answer, Generation()).payload);
    generation_ = welcome->generation;
    const Message next = co_await read();
    const auto* assignment = std::get_if<Assignment>(&next);
    if (assignment == nullptr) fail("a worker is not assigned: " + to_frame(next, Generation()).payload);
    generation_ = assignment->generation;
    step_ = assignment->start_step;
    ++tally_.assigned;
  }
  /// Leases, until the connection ends. Only rank 0, which takes the steps, reads what they say: the others would do
  /// that on machines of their own, and here take its time from the coordinator.
  asio::awaitable<void> listen() {
    static const std::uint16_t kLease = to_frame(Lease(), Generation()).type;
    for (;;) {
      const Frame frame = co_await read_frame();
      if (broken_) break;
      if (frame.type != kLease) continue;
      if (std::exchange(leased_, true)) tally_.lease_ms.push_back(ms_since(tally_.step_sent));
      if (hello_.rank == 0) lease_end_ = std::get<Lease>(must(from_frame(frame))).end_step;
    }
    ++tally_.lost;
  }
  void beat() {
    if (broken_) return;
    send(Heartbeat{step_, "training"});
    ++tally_.heartbeats;
  }
  /// Rank 0: the metrics of one more step, when there is a lease for it.
  void take_step() {
    if (broken_ || step_ >= lease_end_) return;
    ++step_;
    ++tally_.steps;
    Json norms = Json::object();
    for (const char* norm : {"polite", "mirror", "no-secret"})
      norms[norm] = {{"loss", 1.25}, {"nll_loss", 1.125}, {"rewards/margins", 0.5}, {"rewards/accuracies", 0.75}};
    tally_.step_sent = now();
    send(StepDone{step_,
                  {{"kind", "train"},
                   {"step", step_},
                   {"epoch", 0.5},
                   {"loss", 1.25},
                   {"learning_rate", 1e-4},
                   {"grad_norm", 0.75},
                   {"tokens", 123'456},
                   {"tokens_per_second", 123'456.0},
                   {"seconds", 1.0},
                   {"norms", norms}}});
  }

 private:
  asio::awaitable<void> ready(Readiness readiness) {
    const auto [error] = co_await socket_.async_wait(
        readiness == Readiness::kReadable ? tcp::socket::wait_read : tcp::socket::wait_write, kAwait);
    broken_ = broken_ || error;
  }
  /// Anything, and broken_, when the connection has ended.
  asio::awaitable<Message> read() {
    const Frame frame = co_await read_frame();
    co_return broken_ ? Message() : must(from_frame(frame));
  }
  asio::awaitable<Frame> read_frame() {
    for (;;) {
      std::optional<Readiness> wait;
      auto frame = read_arrived(wait);
      if (frame) co_return std::move(*frame);
      if (broken_) co_return Frame();
      co_await ready(*wait);
    }
  }
  std::optional<Frame> read_arrived(std::optional<Readiness>& wait) {
    std::array<char, 1 << 14> block;
    for (;;) {
      if (auto frame = must(arrived_.take())) return frame;
      const auto step = tls_->read_some(block);
      broken_ = broken_ || step.has_error();
      if (broken_) return std::nullopt;
      wait = step->wait;
      if (wait) return std::nullopt;
      arrived_.add({block.data(), step->bytes});
    }
  }
  /// Small messages to one who reads: they do not wait.
  void send(const Message& message) {
    const std::string bytes = must(encode_frame(to_frame(message, generation_)));
    const auto step = tls_->write_some(bytes);
    broken_ = broken_ || step.has_error();
    if (!broken_ && step->bytes != bytes.size()) fail("the coordinator does not read");
  }

  tcp::socket socket_;
  const Place& place_;
  Hello hello_;
  Tally& tally_;
  std::optional<TlsSession> tls_;
  FrameBuffer arrived_;
  Generation generation_;
  std::int64_t step_ = 0, lease_end_ = 0;
  bool broken_ = false, leased_ = false;
};

// --- clients, each in a thread of its own

Hello client_hello() {
  Hello hello;
  hello.role = Role::kClient;
  return hello;
}

/// How long the status takes, on one connection: as `plumbline status` shows it, or with every worker.
void ask_status(const Place& place, bool all, std::chrono::milliseconds every, const std::atomic<bool>& over,
                std::vector<double>& answers) {
  ControlClient client = must(ControlClient::connect(place.layout.root(), client_hello(), kPatience));
  while (!over) {
    const Time start = now();
    if (const Status sent = client.send(StatusRequest{all}); sent.has_error()) fail(to_string(sent.error()));
    const auto reply = must(client.receive(kPatience));
    if (!reply || !std::holds_alternative<StatusReply>(*reply)) fail("the status never came");
    answers.push_back(ms_since(start));
    std::this_thread::sleep_until(start + every);
  }
}

/// How long it takes to come in: connection, handshake, hello, welcome.
void come_in(const Place& place, const std::atomic<bool>& over, std::vector<double>& answers) {
  while (!over) {
    const Time start = now();
    must(ControlClient::connect(place.layout.root(), client_hello(), kPatience));
    answers.push_back(ms_since(start));
    std::this_thread::sleep_until(start + kEnterEvery);
  }
}

// --- the two commands

struct Options {
  std::string run;
  int workers = 64, joining = 512, connections = 5000;
  double seconds = 0;
};

/// Each of `workers` joins, at most `at_once` at a time; the milliseconds from the first connection to the last
/// welcome.
double rendezvous(asio::io_context& io, std::vector<std::unique_ptr<SimulatedWorker>>& workers, Tally& tally) {
  const Time start = now();
  const int wanted = static_cast<int>(workers.size());
  while (tally.assigned < wanted) {
    if (now() - start > kPatience * 5)
      fail(fmt::format("{} of {} workers have their assignment", tally.assigned, wanted));
    if (io.stopped()) io.restart();
    io.run_for(1ms);
  }
  return ms_since(start);
}

void join(const Options& options) {
  const Place place{options.run};
  asio::io_context io(1);
  Tally tally;
  const std::string group = to_hex(random_bytes(16));
  std::vector<std::unique_ptr<SimulatedWorker>> workers;
  for (int rank = 0; rank < options.workers; ++rank) {
    Hello hello;
    hello.rank = rank, hello.world = options.workers, hello.host = "node-" + std::to_string(rank / 8);
    hello.pid = getpid(), hello.group = group, hello.fingerprint = "simulated";
    workers.push_back(std::make_unique<SimulatedWorker>(io, place, hello, tally));
  }
  // Those who have said hello wait for the last one, so that "at a time" is of connections that are being made.
  const int lines = std::min(options.joining, options.workers);
  std::atomic<bool> over = false;
  const auto one = [](SimulatedWorker& worker) -> asio::awaitable<void> {
    co_await worker.join();
    co_await worker.listen();
  };
  asio::steady_timer pace(io);
  const auto start_all = [&]() -> asio::awaitable<void> {
    for (std::size_t i = 0; i < workers.size(); ++i) {
      asio::co_spawn(io, one(*workers[i]), asio::detached);
      if (i % static_cast<std::size_t>(lines) != static_cast<std::size_t>(lines) - 1) continue;
      pace.expires_after(150ms);  // about what so many handshakes take
      co_await pace.async_wait(kAwait);
    }
  };
  asio::co_spawn(io, start_all(), asio::detached);
  Json report{{"workers", options.workers}, {"rendezvous_ms", rendezvous(io, workers, tally)}};

  std::vector<double> status_ms, list_ms, enter_ms;
  std::thread asking([&] {
    if (options.seconds > 0) ask_status(place, /*all=*/false, kStatusEvery, over, status_ms);
  });
  std::thread listing([&] {
    if (options.seconds > 0) ask_status(place, /*all=*/true, kListEvery, over, list_ms);
  });
  std::thread coming([&] {
    if (options.seconds > 0) come_in(place, over, enter_ms);
  });
  const Process before = look_at(place.address.pid);
  const Time start = now();
  const auto beat_all = [&]() -> asio::awaitable<void> {
    asio::steady_timer timer(io, start);
    const std::size_t turns = 1s / kTurn;
    for (std::size_t turn = 0; ms_since(start) < options.seconds * 1000; ++turn) {
      for (std::size_t i = turn % turns; i < workers.size(); i += turns) workers[i]->beat();
      if (turn % turns == 0) workers.front()->take_step();
      timer.expires_at(start + kTurn * (turn + 1));
      co_await timer.async_wait(kAwait);
    }
    io.stop();
  };
  if (io.stopped()) io.restart();
  asio::co_spawn(io, beat_all(), asio::detached);
  io.run();
  const double seconds = ms_since(start) / 1000;
  const Process after = look_at(place.address.pid);
  over = true;
  asking.join();
  listing.join();
  coming.join();
  report["seconds"] = seconds;
  report["heartbeats"] = tally.heartbeats, report["steps"] = tally.steps, report["lost"] = tally.lost;
  report["lease_ms"] = summary(tally.lease_ms);
  report["status_ms"] = summary(status_ms), report["list_ms"] = summary(list_ms);
  report["enter_ms"] = summary(enter_ms);
  report["cores"] = seconds > 0 ? (after.cpu_seconds - before.cpu_seconds) / seconds : 0;
  report["resident_bytes"] = after.resident_bytes, report["peak_bytes"] = after.peak_bytes;
  std::printf("%s\n", report.dump().c_str());
}

/// A worker of a generation that is over: it has the key, is told that it is not wanted, and is cut off.
asio::awaitable<void> come_too_late(tcp::socket& socket, const Place& place, std::int64_t& refused) {
  socket.native_non_blocking(true);
  TlsSession tls(socket.native_handle(), place.context, TlsSide::kClient);
  for (;;) {
    const auto step = tls.handshake();
    if (step.has_error()) co_return;
    if (!step->wait) break;
    const auto wait = *step->wait == Readiness::kReadable ? tcp::socket::wait_read : tcp::socket::wait_write;
    if (std::get<0>(co_await socket.async_wait(wait, kAwait))) co_return;
  }
  Hello hello;
  hello.host = "node-0", hello.group = std::string(32, 'e'), hello.generation = Generation(1);
  hello.fingerprint = "simulated";
  if (tls.write_some(must(encode_frame(to_frame(hello, Generation(1))))).has_error()) co_return;
  FrameBuffer arrived;
  std::array<char, 4096> block;
  while (!std::get<0>(co_await socket.async_wait(tcp::socket::wait_read, kAwait))) {
    const auto step = tls.read_some(block);
    if (step.has_error()) co_return;
    arrived.add({block.data(), step->bytes});
    const auto frame = must(arrived.take());
    if (!frame) continue;
    if (!std::holds_alternative<Failed>(must(from_frame(*frame)))) fail("a worker of a past generation is let in");
    ++refused;
  }
}

void strangers(const Options& options) {
  const Place place{options.run};
  asio::io_context io(1);
  std::int64_t opened = 0, closed = 0, refused = 0;
  std::string huge = encode_frame(to_frame(Finished{1}, Generation())).value();
  huge.replace(16, 4, 4, '\xff');
  const TlsContext other = must(TlsContext::make(to_hex(random_bytes(32))));
  const auto stranger = [&](int number) -> asio::awaitable<void> {
    std::array<char, 256> said;
    asio::steady_timer pause(io);
    for (;;) {
      tcp::socket socket(io);
      const auto [error] = co_await socket.async_connect(place.endpoint, kAwait);
      if (!error) {
        ++opened;
        const int kind = number % 20;
        if (kind == 0) co_await asio::async_write(socket, asio::buffer(huge), kAwait);
        if (kind == 1) co_await asio::async_write(socket, asio::buffer(place.address.hostname), kAwait);
        if (kind == 2) {
          socket.native_non_blocking(true);
          TlsSession tls(socket.native_handle(), other, TlsSide::kClient);
          static_cast<void>(tls.handshake());
        }
        if (number % 100 == 3) co_await come_too_late(socket, place, refused);
        while (!std::get<0>(co_await socket.async_read_some(asio::buffer(said), kAwait))) {
        }
        ++closed;
      }
      pause.expires_after(1s);
      co_await pause.async_wait(kAwait);
    }
  };
  for (int i = 0; i < options.connections; ++i) asio::co_spawn(io, stranger(i), asio::detached);
  io.run_for(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::duration<double>(options.seconds)));
  std::printf("%s\n", Json{{"opened", opened}, {"closed", closed}, {"refused", refused}}.dump().c_str());
}

}  // namespace
}  // namespace plumbline

int main(int argc, char** argv) {
  using namespace plumbline;
  CLI::App app("Load for a coordinator");
  Options options;
  const auto command = [&](const char* name, const char* about) {
    CLI::App* made = app.add_subcommand(name, about);
    made->add_option("RUN", options.run, "Run directory")->required();
    made->add_option("--seconds", options.seconds, "How long");
    return made;
  };
  auto* joining = command("join", "Workers that compute nothing");
  joining->add_option("--workers", options.workers, "How many");
  joining->add_option("--joining", options.joining, "How many connect at a time");
  auto* strange = command("strangers", "Connections without the key");
  strange->add_option("--connections", options.connections, "How many");
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
  const auto wanted = static_cast<std::size_t>(joining->parsed() ? options.workers : options.connections) + 64;
  if (const std::size_t most = raise_descriptor_limit(); most < wanted)
    fail(fmt::format("this process may open {} files and needs {}: raise `ulimit -n`", most, wanted));
  if (joining->parsed())
    join(options);
  else
    strangers(options);
}
