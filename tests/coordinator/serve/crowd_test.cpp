// More workers than are told something in one turn of the loop, or listed in a status; over real sockets.
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <sstream>

#include "coordinator/serve/status.hpp"
#include "coordinator/serve/turns.hpp"
#include "tests/coordinator/serve/no_launcher.hpp"
#include "tests/coordinator/serve/run_fixture.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

constexpr int kCrowd = 300;
static_assert(kCrowd > 4 * static_cast<int>(Turns::kInARow) && kCrowd > static_cast<int>(kMostListed));

class CrowdTest : public RunFixture {
 protected:
  CrowdTest() {
    config.train.lanes = config.train.global_batch = kCrowd;
    create_run(layout, config).value();
    logger_ = spdlog::default_logger();
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_)));
    served = std::async(std::launch::async, [this]() -> Result<RunOutcome> {
      PLUMBLINE_ASSIGN(ServableRun run, open_run(layout, config, kCrowd, std::make_unique<NoLauncher>()));
      run.tick = std::chrono::milliseconds(5);
      Coordinator coordinator(std::move(run));
      return coordinator.serve();
    });
    while (!std::filesystem::exists(layout.coordinator())) std::this_thread::yield();
    while (std::ssize(workers) < kCrowd) come();
  }
  ~CrowdTest() override {
    workers.clear();
    if (served.valid()) served.wait();
    spdlog::set_default_logger(logger_);
  }
  /// What the coordinator has logged, once it has ended.
  std::vector<std::string> log_lines() {
    std::vector<std::string> lines;
    std::istringstream all(log_.str());
    for (std::string line; std::getline(all, line);) lines.push_back(line);
    return lines;
  }
  Message next(ControlClient& worker) { return worker.receive(kPatience).value().value(); }
  Json status(bool all) {
    auto client = ControlClient::connect(layout.root(), client_hello(), kPatience).value();
    client.send(StatusRequest{all}).value();
    return std::get<StatusReply>(next(client)).status;
  }
  std::vector<ControlClient> workers;  ///< by rank

 private:
  void come() {
    Hello hello;
    hello.rank = static_cast<int>(workers.size()), hello.world = kCrowd;
    hello.host = "node-" + std::to_string(hello.rank / 8), hello.pid = 1'000 + hello.rank;
    hello.group = std::string(32, 'a'), hello.fingerprint = "cpu";
    auto worker = ControlClient::connect(layout.root(), hello, kPatience);
    if (worker.has_value()) workers.push_back(std::move(worker).value());  // else: it does not gather its group yet
  }
  std::ostringstream log_;
  std::shared_ptr<spdlog::logger> logger_;
};

TEST_F(CrowdTest, EachIsToldEverythingInTheOrderInWhichItWasDecided) {
  for (int rank = 0; rank < kCrowd; ++rank) {
    ControlClient& worker = workers[static_cast<std::size_t>(rank)];
    const auto assignment = std::get<Assignment>(next(worker));
    EXPECT_EQ(assignment.rank, rank);
    worker.speak_in(assignment.generation);
    const auto lease = std::get<Lease>(next(worker));
    EXPECT_EQ(lease.lane_begin, rank);
    EXPECT_EQ(lease.end_step, 1);
  }
  for (std::int64_t step = 1; step <= 4; ++step)
    workers[0].send(StepDone{step, {{"kind", "train"}, {"step", step}, {"loss", 1.0}, {"seconds", 0.5}}}).value();
  for (ControlClient& worker : workers)
    for (std::int64_t end = 1; end < 6;) {
      const auto lease = std::get<Lease>(next(worker));
      EXPECT_GT(lease.end_step, end);
      end = lease.end_step;
    }
}

TEST_F(CrowdTest, AStatusListsAllWhenAllAreAskedFor) {
  const Json some = status(/*all=*/false), all = status(/*all=*/true);
  for (const Json& said : {some, all}) {
    EXPECT_EQ(said.at("num_workers"), kCrowd);
    EXPECT_EQ(said.at("num_hosts"), (kCrowd + 7) / 8);
    EXPECT_EQ(said.at("phases"), (Json{{"starting", kCrowd}}));
  }
  EXPECT_EQ(some.at("workers").size(), kListedOfMore);
  ASSERT_EQ(all.at("workers").size(), kCrowd);
  for (int rank = 0; rank < kCrowd; ++rank)
    EXPECT_EQ(all.at("workers").at(static_cast<std::size_t>(rank)).at("pid"), 1'000 + rank);
}

TEST_F(CrowdTest, WhoAsksForAllAndHangsUpIsNoHarm) {
  for (int i = 0; i < 20; ++i) {
    auto client = ControlClient::connect(layout.root(), client_hello(), kPatience).value();
    client.send(StatusRequest{true}).value();
  }
  EXPECT_EQ(status(true).at("workers").size(), kCrowd);
}

TEST_F(CrowdTest, AllVanishAtOnceAndThatIsSaidInAFewLines) {
  workers.clear();
  const auto outcome = served.get();
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kRun);
  EXPECT_THAT(outcome.error().message, HasSubstr("has died"));
  const auto lines = log_lines();
  EXPECT_LT(lines.size(), 60u) << "of the coming and the going of " << kCrowd;
  EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("more like this, the last one: rank") != std::string::npos;
  }));
  EXPECT_THAT(events(), testing::Contains("worker_lost").Times(1)) << "the others are its consequence";
}

TEST_F(CrowdTest, AStopEndsAllOfThem) {
  for (ControlClient& worker : workers) {
    const auto assignment = std::get<Assignment>(next(worker));
    worker.speak_in(assignment.generation);
  }
  raise(SIGTERM);
  EXPECT_EQ(served.get().error().code, ErrorCode::kStopped);
  for (ControlClient& worker : workers) {
    std::get<Lease>(next(worker));
    EXPECT_TRUE(worker.receive(kPatience).has_error()) << "it is cut off";
  }
}

}  // namespace
}  // namespace plumbline
