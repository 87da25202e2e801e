// The coordinator in this process, workers as threads, real sockets.
#include "coordinator/serve/coordinator.hpp"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <boost/asio/ip/tcp.hpp>
#include <sstream>

#include "common/record/metrics.hpp"
#include "coordinator/serve/status.hpp"
#include "tests/coordinator/serve/run_fixture.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
namespace asio = boost::asio;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class CoordinatorTest : public RunFixture {
 protected:
  CoordinatorTest() { create_run(layout, config).value(); }

  /// Trains to the checkpoint of step 8, and stops.
  void train_to_8() {
    script.allow(8);
    start_serving();
    status_when([](const Json& status) {
      return status.at("last_checkpoint").is_object() && status.at("last_checkpoint").at("step") == 8;
    });
    raise(SIGTERM);
    EXPECT_EQ(served.get().error().code, ErrorCode::kStopped);
    script.allow(1'000'000);
  }
  void flip_a_bit(std::int64_t step) const {
    const fs::path model = layout.checkpoint(Step(step)) / "model.safetensors";
    std::string content = read_file(model).value();
    content[content.size() / 2] ^= 1;
    write_file_atomically(model, content).value();
  }
  [[nodiscard]] Json newest_event(const std::string& name) const {
    Json data;
    for (const auto& entry : read_journal(layout.journal()).value())
      if (entry.event == name) data = entry.data;
    return data;
  }
  asio::io_context io;
};

TEST_F(CoordinatorTest, ServesARunToItsEnd) {
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_value()) << to_string(outcome.error());
  EXPECT_EQ(outcome->step, Step(12));
  EXPECT_EQ(outcome->weights_sha256, sha256_hex(std::string("model.safetensors of step 12")));
  EXPECT_THAT(events(), ElementsAre("run_created", "coordinator_started", "generation_started", "checkpoint_committed",
                                    "checkpoint_committed", "checkpoint_committed", "snapshot_aggregated",
                                    "generation_ended", "evaluated", "run_finished"));
  EXPECT_THAT(checkpoints(), ElementsAre("step-00000008", "step-00000012")) << "checkpoint.keep is 2";
  EXPECT_TRUE(verify_checkpoint(layout.checkpoint(Step(12))).has_value());
  EXPECT_EQ(read_metrics(layout.metrics()).value().size(), 12u);
  EXPECT_EQ(read_json_file(layout.summary())->at("weights_sha256"), outcome->weights_sha256);
  EXPECT_EQ(read_snapshot(layout.snapshot(Step(12))).value().rows(), 6u);
  EXPECT_TRUE(fs::exists(layout.report()));
  EXPECT_FALSE(fs::exists(layout.coordinator())) << "nobody is found who does not serve";
  const Json status = recorded_status(layout).value();
  EXPECT_EQ(status.at("state"), "finished");
  EXPECT_EQ(status.at("last_checkpoint").at("step"), 12);
}

TEST_F(CoordinatorTest, ASnapshotOfWhichAPartIsMissingIsReported) {
  fs::create_directories(layout.snapshots());
  Snapshot part;
  part.step = 5, part.dimension = 2;
  part.probe_index = {0}, part.ids = {{0, 1}}, part.norms = {0}, part.vectors = {0, 1};
  write_snapshot(layout.snapshot_part(Step(5), 0), part).value();
  ASSERT_TRUE(serve().has_value());
  EXPECT_EQ(newest_event("snapshot_missing"), (Json{{"step", 5}}));
  EXPECT_THAT(events(), Contains("snapshot_missing").Times(1)) << "that of step 12 is there";
  EXPECT_THAT(read_file(layout.report()).value(), HasSubstr("snapshot_missing"));
}

TEST_F(CoordinatorTest, WhatAKillLeftOfAWriteIsRemovedWhenTheRunIsOpened) {
  const fs::path left = layout.root() / ".coordinator.json.0123456789abcdef.tmp";
  write_file_atomically(left, "half").value();
  ASSERT_TRUE(serve().has_value());
  EXPECT_FALSE(fs::exists(left));
}

TEST_F(CoordinatorTest, WarnsOnceWhenDesiredOutputsBecomeLessLikely) {
  script.falling = true;
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  const auto outcome = serve();
  spdlog::set_default_logger(before);
  ASSERT_TRUE(outcome.has_value()) << to_string(outcome.error());
  const std::string said = log.str(), warning = "training makes the desired outputs less likely";
  ASSERT_THAT(said, HasSubstr("On held-out examples of “polite”, " + warning));
  EXPECT_EQ(said.find(warning), said.rfind(warning)) << said;
  EXPECT_THAT(read_file(layout.report()).value(), HasSubstr(warning));
}

TEST_F(CoordinatorTest, AKilledWorkerIsReplaced) {
  script.deaths = {{1, 2}, {2, 7}, {3, 9}};
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_value()) << to_string(outcome.error());
  EXPECT_EQ(outcome->step, Step(12));
  std::vector<std::int64_t> starts;
  for (const auto& entry : read_journal(layout.journal()).value())
    if (entry.event == "generation_started") starts.push_back(entry.data.at("start_step").get<std::int64_t>());
  EXPECT_THAT(starts, ElementsAre(0, 0, 4, 8));
  EXPECT_THAT(events(), Contains("worker_lost").Times(3));
  EXPECT_EQ(recorded_status(layout)->at("restarts"), 3);
}

TEST_F(CoordinatorTest, DeathsWithoutProgressEndTheRun) {
  config.workers.max_restarts = 2;
  script.deaths = {{1, 2}, {2, 1}, {3, 3}};
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kRun);
  EXPECT_THAT(to_string(outcome.error()), HasSubstr("launcher.log"));
  EXPECT_EQ(events().back(), "run_failed");
  script.deaths.clear();
  EXPECT_TRUE(serve().has_value()) << "a failed run can be resumed";
}

TEST_F(CoordinatorTest, AWorkersErrorIsTheRuns) {
  script.failure = Failed{3, "the shard is cut short", "train-00000.h5", "curate it again"};
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kData);
  EXPECT_EQ(to_string(outcome.error()),
            to_string(data_error("the shard is cut short", "train-00000.h5", "curate it again")));
  EXPECT_THAT(events(), Contains("generation_started").Times(1));
}

TEST_F(CoordinatorTest, StopsAndGoesOnAtAnotherWorkerCount) {
  script.allow(6);
  start_serving();
  const Json status = status_at(6);
  EXPECT_EQ(status.at("state"), "training");
  EXPECT_EQ(status.at("last_checkpoint").at("step"), 4);
  EXPECT_EQ(status.at("norms").size(), 3u);
  EXPECT_GT(status.at("tokens_per_second").get<double>(), 0);
  EXPECT_EQ(status.at("workers").at(1).at("rank"), 1);
  EXPECT_FALSE(status_text(status).empty());
  EXPECT_THAT(stop().value(), HasSubstr("resume with: plumbline resume " + layout.root().string()));
  script.allow(1'000'000);
  const auto stopped = served.get();
  ASSERT_TRUE(stopped.has_error());
  EXPECT_EQ(stopped.error().code, ErrorCode::kStopped);
  EXPECT_EQ(recorded_status(layout)->at("state"), "stopped");
  const auto step = recorded_status(layout)->at("last_checkpoint").at("step").get<std::int64_t>();
  EXPECT_GE(step, 6);
  EXPECT_TRUE(verify_checkpoint(layout.checkpoint(Step(step))).has_value());
  const auto outcome = serve(1);
  ASSERT_TRUE(outcome.has_value()) << to_string(outcome.error());
  EXPECT_EQ(outcome->step, Step(12));
}

TEST_F(CoordinatorTest, ATerminatingSignalIsAStop) {
  script.allow(5);
  start_serving();
  status_at(5);
  raise(SIGTERM);
  script.allow(1'000'000);
  EXPECT_EQ(served.get().error().code, ErrorCode::kStopped);
}

TEST_F(CoordinatorTest, ASecondSignalDoesNotWait) {
  script.allow(5);
  start_serving();
  status_at(5);
  raise(SIGINT);
  status_when([](const Json& status) { return status.at("state") == "stopping"; });
  raise(SIGINT);  // Rank 0 still waits for leave to take a step: only ending it helps.
  EXPECT_EQ(served.get().error().code, ErrorCode::kStopped);
  EXPECT_EQ(recorded_status(layout)->at("last_checkpoint").at("step"), 4);
}

TEST_F(CoordinatorTest, AWorkerOfAnotherLaunchIsRefused) {
  script.allow(5);
  start_serving();
  status_at(5);
  Hello hello;
  hello.rank = 1, hello.world = 2, hello.group = std::string(32, 'b');
  const auto refused = ControlClient::connect(layout.root(), hello, kPatience);
  ASSERT_TRUE(refused.has_error());
  EXPECT_THAT(refused.error().message, HasSubstr("has its group"));
  script.allow(1'000'000);
  EXPECT_TRUE(served.get().has_value());
}

TEST_F(CoordinatorTest, OneCoordinatorAtATime) {
  script.allow(5);
  start_serving();
  status_at(5);
  const auto second = serve();
  ASSERT_TRUE(second.has_error());
  EXPECT_EQ(second.error().code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(second.error()), HasSubstr(std::to_string(getpid())));
  EXPECT_TRUE(fs::exists(layout.coordinator())) << "the first one's";
  script.allow(1'000'000);
  EXPECT_TRUE(served.get().has_value());
}

TEST_F(CoordinatorTest, APartThatIsNotWhatWasWrittenIsNotCommitted) {
  script.corrupt_part = true;
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kRun);
  EXPECT_THAT(outcome.error().where, HasSubstr("model.safetensors"));
  EXPECT_TRUE(checkpoints().empty()) << "nothing half-written is left";
  script.corrupt_part = false;
  EXPECT_TRUE(serve().has_value());
}

TEST_F(CoordinatorTest, AnotherFingerprintIsRefusedByName) {
  script.allow(5);
  start_serving();
  status_at(5);
  stop().value();
  script.allow(1'000'000);
  EXPECT_EQ(served.get().error().code, ErrorCode::kStopped);
  script.fingerprint = "cpu AVX512";
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kUsage);
  EXPECT_THAT(outcome.error().message, HasSubstr("AVX512"));
  script.fingerprint = "cpu AVX2";
  EXPECT_TRUE(serve().has_value());
}

TEST_F(CoordinatorTest, AGroupStartedByHand) {
  const auto outcome = serve(2, /*supervised=*/false);
  ASSERT_TRUE(outcome.has_value()) << to_string(outcome.error());
  EXPECT_EQ(outcome->step, Step(12));
}

TEST_F(CoordinatorTest, AGroupStartedByHandThatDies) {
  script.deaths = {{1, 6}};
  const auto outcome = serve(2, /*supervised=*/false);
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kRun);
  EXPECT_THAT(to_string(outcome.error()), HasSubstr("plumbline resume"));
  EXPECT_THAT(to_string(outcome.error()), HasSubstr("mpirun the-workers"));
  EXPECT_TRUE(serve().has_value());
}

TEST_F(CoordinatorTest, WhoseRunIsTakenOverEndsAndTouchesNothing) {
  script.allow(6);
  start_serving();
  status_at(6);
  fs::create_directories(layout.partial_checkpoint(Step(7), Generation(1)));
  const auto refused =
      open_run(layout, config, 1, std::make_unique<FakeLauncher>(layout, script), LostCoordinator::kReplace);
  ASSERT_TRUE(refused.has_error()) << "it answers";
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  const Journal taken = Journal::take_over(layout).value();
  const auto outcome = served.get();
  script.allow(1'000'000);
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kRun);
  EXPECT_THAT(outcome.error().message, HasSubstr("another coordinator has taken the run over"));
  EXPECT_EQ(events().back(), "run_taken_over");
  EXPECT_TRUE(fs::exists(layout.coordinator())) << "it may be the other's";
  EXPECT_TRUE(fs::exists(layout.partial_checkpoint(Step(7), Generation(1))));
}

TEST_F(CoordinatorTest, AFinishedRunIsKnownAndCanBeProlonged) {
  const auto first = serve();
  ASSERT_TRUE(first.has_value());
  const auto known = [&] {
    return finished_outcome(open_run(layout, config, 1, std::make_unique<FakeLauncher>(layout, script)).value());
  };
  ASSERT_TRUE(known());
  EXPECT_EQ(known()->weights_sha256, first->weights_sha256);
  config.train.steps = 16;
  EXPECT_FALSE(known());
  EXPECT_EQ(serve()->step, Step(16));
  config.train.steps = 10;
  const auto shortened = serve();
  ASSERT_TRUE(shortened.has_error());
  EXPECT_EQ(shortened.error().where, "train.steps");
}

TEST_F(CoordinatorTest, APortInUseIsSaidBeforeAnythingIsLaunched) {
  asio::ip::tcp::acceptor busy(io, {asio::ip::make_address("127.0.0.1"), 0});
  config.control.port = busy.local_endpoint().port();
  const auto before = events();
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(outcome.error().message, HasSubstr(std::to_string(config.control.port)));
  EXPECT_EQ(outcome.error().where, "control.port");
  EXPECT_EQ(events(), before);
  EXPECT_FALSE(fs::exists(layout.coordinator()));
}

TEST_F(CoordinatorTest, WhatACrashLeftBehindIsNotUsed) {
  script.allow(6);
  start_serving();
  status_at(6);
  raise(SIGTERM);
  raise(SIGTERM);
  script.allow(1'000'000);
  served.get();
  fs::create_directories(layout.partial_checkpoint(Step(7), Generation(1)));
  fs::create_directories(layout.checkpoint(Step(11)));  // renamed, but the journal does not know it
  const RunConfig kept = config;
  const auto run = open_run(layout, config, 1, std::make_unique<FakeLauncher>(layout, script));
  ASSERT_TRUE(run.has_value()) << to_string(run.error());
  EXPECT_FALSE(fs::exists(layout.partial_checkpoint(Step(7), Generation(1))));
  EXPECT_FALSE(fs::exists(layout.checkpoint(Step(11))));
  EXPECT_TRUE(fs::exists(layout.checkpoint(run->state.checkpoint->step)));
}

TEST_F(CoordinatorTest, ADamagedNewestCheckpointIsSetAsideForAnOlderOne) {
  train_to_8();
  for (const char* damage : {"bit", "cut", "manifest", "gone"}) {
    SCOPED_TRACE(damage);
    const fs::path newest = layout.checkpoint(Step(8));
    if (damage == std::string("bit")) flip_a_bit(8);
    if (damage == std::string("cut")) fs::resize_file(newest / "model.safetensors", 3);
    if (damage == std::string("manifest")) fs::remove(newest / "MANIFEST.json");
    if (damage == std::string("gone")) fs::remove_all(newest);
    script.allow(8);  // It trains the step that was set aside again, and stops there.
    start_serving();
    status_when([](const Json& status) { return status.at("last_checkpoint").at("step") == 8; });
    raise(SIGTERM);
    EXPECT_EQ(served.get().error().code, ErrorCode::kStopped);
    const Json aside = newest_event("checkpoint_set_aside");
    EXPECT_EQ(aside.at("step"), 8);
    EXPECT_EQ(aside.at("instead"), 4);
    EXPECT_THAT(aside.at("file").get<std::string>(), HasSubstr(newest.string()));
    EXPECT_EQ(aside.at("moved_to").is_null(), damage == std::string("gone"));
    EXPECT_EQ(newest_event("generation_started").at("start_step"), 4);
    EXPECT_TRUE(verify_checkpoint(newest).has_value());
  }
  EXPECT_THAT(checkpoints(), ElementsAre("damaged-step-00000008", "damaged-step-00000008.2", "damaged-step-00000008.3",
                                         "step-00000004", "step-00000008"))
      << "nothing is deleted";
  script.allow(1'000'000);
  EXPECT_EQ(serve()->step, Step(12));
  const auto lines = read_metrics(layout.metrics()).value();
  ASSERT_EQ(lines.size(), 12u) << "a line a step";
  for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i].at("step"), i + 1);
}

TEST_F(CoordinatorTest, AGroupThatStartsAgainFallsBackToo) {
  script.deaths = {{1, 10}};
  script.before_death = [&] { flip_a_bit(8); };
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_value()) << to_string(outcome.error());
  EXPECT_EQ(outcome->step, Step(12));
  EXPECT_EQ(newest_event("checkpoint_set_aside").at("instead"), 4);
  EXPECT_EQ(newest_event("generation_started").at("start_step"), 4);
  EXPECT_THAT(checkpoints(), Contains("damaged-step-00000008"));
}

TEST_F(CoordinatorTest, WithoutACheckpointThatVerifiesNothingIsChanged) {
  train_to_8();
  for (const std::int64_t step : {4, 8}) flip_a_bit(step);
  const auto before = events();
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kData);
  EXPECT_THAT(outcome.error().message, HasSubstr("none of the run's checkpoints"));
  EXPECT_THAT(outcome.error().where, HasSubstr("step-00000008/model.safetensors"));
  EXPECT_EQ(events(), before);
  EXPECT_THAT(checkpoints(), ElementsAre("step-00000004", "step-00000008"));
}

TEST_F(CoordinatorTest, AGroupThatCannotStartAgainEndsTheRun) {
  script.deaths = {{1, 10}};
  script.before_death = [&] {
    for (const std::int64_t step : {4, 8}) flip_a_bit(step);
  };
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kData);
  EXPECT_EQ(events().back(), "run_failed");
  EXPECT_THAT(events(), Contains("generation_started").Times(1)) << "nobody was welcomed to a damaged checkpoint";
}

TEST_F(CoordinatorTest, ACheckpointOfAnotherRunIsNotTaken) {
  train_to_8();
  fs::remove_all(layout.checkpoint(Step(8)));
  fs::copy(layout.checkpoint(Step(4)), layout.checkpoint(Step(8)), fs::copy_options::recursive);
  ASSERT_TRUE(serve().has_value());
  EXPECT_THAT(newest_event("checkpoint_set_aside").at("reason").get<std::string>(), HasSubstr("journal"));
}

TEST_F(CoordinatorTest, AnotherDatasetIsRefused) {
  fs::remove_all(folder.path() / "data");
  static_cast<void>(TinyDataset(44).write(folder.path() / "data"));
  const auto outcome = serve();
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().code, ErrorCode::kData);
  EXPECT_THAT(outcome.error().where, HasSubstr("dataset.json"));
}

TEST_F(CoordinatorTest, ADirectoryWithoutARunIsSaid) {
  const RunLayout nowhere(folder.path() / "nowhere");
  const auto run = open_run(nowhere, config, 1, std::make_unique<FakeLauncher>(nowhere, script));
  ASSERT_TRUE(run.has_error());
  EXPECT_EQ(run.error().code, ErrorCode::kData);
  EXPECT_EQ(recorded_status(nowhere).error().code, ErrorCode::kData);
  EXPECT_FALSE(fs::exists(nowhere.root()));
}

}  // namespace
}  // namespace plumbline
