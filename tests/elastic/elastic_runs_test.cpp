// Elastic runs as processes: a coordinator (this program, with --serve) and arithmetic workers that it launches.
// Whatever is killed, the run ends with the numbers of one that nobody disturbed, and with one line of metrics for each
// step.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <iostream>
#include <random>
#include <thread>

#include "common/record/metrics.hpp"
#include "coordinator/journal/journal.hpp"
#include "coordinator/launch/launch.hpp"
#include "coordinator/launch/process.hpp"
#include "coordinator/serve/run.hpp"
#include "tests/common/plan/tiny_dataset.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::int64_t kSteps = 240;
constexpr auto kLook = 5ms;
constexpr auto kPatience = 300s;  // of a build with sanitizers, on a machine that has other things to do

class ElasticRuns : public testing::Test {
 protected:
  ElasticRuns() : layout_(folder_.path() / "run") {
    setenv("PLUMBLINE_WORKER_PROGRAM", PLUMBLINE_ARITHMETIC_WORKER, 1);
    static_cast<void>(TinyDataset(40).write(folder_.path() / "data"));
    config_.name = "tiny", config_.seed = 5, config_.data = (folder_.path() / "data").string();
    config_.train.steps = kSteps, config_.train.global_batch = 24, config_.train.lanes = 12;
    config_.checkpoint.every = 50, config_.evaluate.every = 40;
    config_.snapshot.examples = 6, config_.snapshot.every = 90;
    config_.workers.count = 3, config_.workers.launcher = "local";
    config_.control.worker_timeout_ms = 60'000;  // What is slow here is the build.
  }
  ~ElasticRuns() override {
    for (const std::int64_t pid : living_workers(layout_.root())) ::kill(static_cast<pid_t>(pid), SIGKILL);
  }

  void create(int workers = 3) {
    config_.workers.count = workers;
    const Status created = create_run(layout_, config_);
    ASSERT_TRUE(created.has_value()) << to_string(created.error());
  }
  /// A coordinator that lives until it is killed or the run is over.
  void serve() {
    ProcessSpec spec;
    spec.argv = {fs::read_symlink("/proc/self/exe").string(), "--serve", layout_.root().string()};
    for (char** entry = environ; *entry != nullptr; ++entry) spec.environment.emplace_back(*entry);
    spec.log = folder_.path() / "coordinator.log";
    auto process = start_process(spec);
    ASSERT_TRUE(process.has_value()) << to_string(process.error());
    coordinator_ = std::move(process).value();
  }
  [[nodiscard]] bool serves() const {
    pollfd ended{coordinator_->pidfd(), POLLIN, 0};
    return ::poll(&ended, 1, 0) == 0;
  }
  void kill_coordinator() {
    ::kill(static_cast<pid_t>(coordinator_->pid()), SIGKILL);
    coordinator_->wait();
    coordinator_.reset();
  }
  void kill_worker(std::size_t which) const {
    const auto workers = living_workers(layout_.root());
    if (!workers.empty()) ::kill(static_cast<pid_t>(workers[which % workers.size()]), SIGKILL);
  }

  [[nodiscard]] std::vector<std::int64_t> steps(const std::string& kind = "train") const {
    std::vector<std::int64_t> steps;
    std::error_code ec;
    if (!fs::exists(layout_.metrics(), ec)) return steps;
    const auto lines = read_metrics(layout_.metrics()).value();
    for (const Json& line : lines)
      if (line.at("kind") == kind) steps.push_back(line.at("step").get<std::int64_t>());
    return steps;
  }
  template <class Condition>
  bool wait_until(const Condition& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(kLook);
    }
    return true;
  }
  void wait_for_step(std::int64_t step) {
    EXPECT_TRUE(wait_until([&] {
      const auto taken = steps();
      return (!taken.empty() && taken.back() >= step) || (coordinator_ && !serves());
    })) << "step "
        << step << " did not come";
  }
  [[nodiscard]] std::vector<Json> journal(const std::string& event) const {
    std::vector<Json> found;
    const auto entries = read_journal(layout_.journal()).value();
    for (const JournalEntry& entry : entries)
      if (entry.event == event) found.push_back(entry.data);
    return found;
  }
  [[nodiscard]] std::string log() const {
    std::string text;
    for (const fs::path& file : {folder_.path() / "coordinator.log", layout_.logs() / "launcher.log"})
      if (const auto content = read_file(file); content.has_value()) text += content.value();
    return text.size() > 8'000 ? text.substr(text.size() - 8'000) : text;
  }

  /// Waits for the end; the weights' hash.
  std::string finish() {
    EXPECT_TRUE(wait_until([&] { return !serves(); })) << log();
    const GroupExit exit = coordinator_->wait();
    coordinator_.reset();
    EXPECT_EQ(exit.status, 0) << exit.description << "\n" << log();
    const auto finished = journal("run_finished");
    return finished.empty() ? "none" : finished.back().at("weights_sha256").get<std::string>();
  }
  void check_end() {
    const std::string weights = finish();
    std::vector<std::int64_t> all(kSteps), measured;
    std::iota(all.begin(), all.end(), 1);
    for (std::int64_t step = 0; step <= kSteps; step += config_.evaluate.every) measured.push_back(step);
    EXPECT_EQ(steps(), all);
    EXPECT_EQ(steps("heldout"), measured);
    EXPECT_EQ(weights, undisturbed());
    EXPECT_TRUE(wait_until([&] { return living_workers(layout_.root()).empty(); })) << "a worker is left behind";
  }
  /// What one worker ends with that nobody disturbs.
  std::string undisturbed() {
    static std::string weights;
    if (!weights.empty()) return weights;
    const RunLayout disturbed = std::exchange(layout_, RunLayout(folder_.path() / "alone"));
    create(1);
    serve();
    weights = finish();
    layout_ = disturbed;
    return weights;
  }
  [[nodiscard]] int generations_from_files() const {
    int count = 0;
    for (const Json& data : journal("generation_started")) count += data.at("reason") == "regrouped" ? 0 : 1;
    return count;
  }

  ScratchFolder folder_;
  RunLayout layout_;
  RunConfig config_;
  std::unique_ptr<WorkerGroup> coordinator_;
};

TEST_F(ElasticRuns, WorkersThatAreKilledCostNoStep) {
  create();
  serve();
  for (const std::size_t which : {0u, 1u, 2u}) {
    wait_for_step(20 + 60 * static_cast<std::int64_t>(which));
    kill_worker(which);
  }
  check_end();
  EXPECT_EQ(generations_from_files(), 1);
}

TEST_F(ElasticRuns, ACoordinatorThatIsKilledCostsNoStep) {
  create();
  serve();
  for (const std::int64_t step : {30, 110, 170}) {
    wait_for_step(step);
    kill_coordinator();
    serve();
  }
  check_end();
  EXPECT_EQ(generations_from_files(), 1) << "the workers lived on";
  EXPECT_TRUE(journal("worker_lost").empty());
}

TEST_F(ElasticRuns, ACoordinatorAndAWorkerAtOnce) {
  create();
  serve();
  wait_for_step(60);
  kill_coordinator();
  kill_worker(1);
  serve();
  wait_for_step(130);
  kill_worker(0);
  kill_coordinator();
  serve();
  check_end();
  EXPECT_EQ(generations_from_files(), 1);
}

TEST_F(ElasticRuns, WhenAllAreKilledTheRunGoesOnFromTheCheckpoint) {
  create();
  serve();
  wait_for_step(70);
  kill_coordinator();
  while (!living_workers(layout_.root()).empty()) kill_worker(0);
  serve();
  check_end();
  EXPECT_EQ(generations_from_files(), 2);
  EXPECT_EQ(journal("generation_started").back().at("start_step"), 50);
}

/// PLUMBLINE_RANDOM_KILLS sets how many.
TEST_F(ElasticRuns, RandomKills) {
  const char* text = std::getenv("PLUMBLINE_RANDOM_KILLS");
  const int kills = text == nullptr ? 10 : std::atoi(text);
  std::mt19937_64 random(3);
  create();
  serve();
  wait_for_step(1);
  for (int kill = 0; kill < kills && serves(); ++kill) {
    if (random() % 4 == 0) {
      kill_coordinator();
      serve();
    } else {
      kill_worker(random());
    }
    // Sometimes in the middle of what that brought about, sometimes after it.
    std::this_thread::sleep_for(std::chrono::milliseconds(std::array{5, 40, 150, 400}.at(random() % 4)));
  }
  check_end();
}

}  // namespace
}  // namespace plumbline

int main(int argc, char** argv) {
  using namespace plumbline;
  if (argc == 3 && std::strcmp(argv[1], "--serve") == 0) {
    const RunLayout layout(argv[2]);
    const auto config = load_run_config(layout.config(), {});
    const auto outcome = config.has_error() ? config.error() : serve_run(layout, config.value(), std::nullopt);
    if (outcome.has_value()) return 0;
    std::cerr << to_string(outcome.error()) << "\n";
    return static_cast<int>(outcome.error().code);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
