// The worker as a program: what it does from joining to leaving, alone and under mpirun.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <fstream>
#include <sstream>

#include "common/record/evaluation.hpp"
#include "common/record/snapshot.hpp"
#include "tests/common/plan/tiny_dataset.hpp"
#include "tests/worker/loop/fake_coordinator.hpp"

extern char** environ;

namespace plumbline {
namespace {

namespace fs = std::filesystem;

/// A program in the background with its output in a file.
class Process {
 public:
  Process(std::vector<std::string> arguments, const fs::path& output) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    EXPECT_EQ(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0) << arguments[0];
    posix_spawn_file_actions_destroy(&actions);
  }
  /// The exit status, or 128 and the signal.
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
};

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class WorkerLoopTest : public testing::Test {
 protected:
  struct Ended {
    int status = -1;
    std::string output;
    std::vector<FakeCoordinator::Told> told;
  };

  WorkerLoopTest() {
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    static_cast<void>(TinyDataset(40).write(folder_.path() / "data"));
    config_.seed = 5;
    config_.data = (folder_.path() / "data").string();
    config_.model.d_model = 16, config_.model.d_kv = 4, config_.model.d_ff = 24, config_.model.num_heads = 3;
    config_.model.dropout_rate = 0.1;
    config_.train.steps = 6, config_.train.global_batch = 24, config_.train.lanes = 12;
    config_.train.micro_batch_tokens = 40, config_.train.max_source_tokens = 8, config_.train.max_output_tokens = 8;
    config_.optimizer.learning_rate = 0.01, config_.optimizer.clip_norm = 0.5;
    config_.evaluate.every = 3, config_.evaluate.examples = 4, config_.evaluate.generations = 2;
    config_.evaluate.max_new_tokens = 4, config_.evaluate.batch_rows = 4;
    config_.checkpoint.every = 4;
    config_.snapshot.examples = 7;
  }
  RunLayout make_run(const std::string& name) {
    const RunLayout layout(folder_.path() / name);
    fs::create_directories(layout.logs());
    write_file_atomically(layout.config(), to_yaml(config_)).value();
    return layout;
  }
  static Ended run(const RunLayout& layout, FakeCoordinator::Script script) {
    FakeCoordinator coordinator(layout);
    std::vector<std::string> arguments;
    if (script.world > 1)
      arguments = {PLUMBLINE_MPIRUN, "--oversubscribe", "--bind-to", "none", "-np", std::to_string(script.world)};
    arguments.insert(arguments.end(), {PLUMBLINE_WORKER_PROGRAM, "--join", layout.root().string()});
    const fs::path output = layout.root() / "output.txt";
    Process process(arguments, output);
    Ended ended;
    ended.told = coordinator.serve(script);
    ended.status = process.wait();
    ended.output = text_of(output);
    return ended;
  }
  template <class T>
  static std::vector<T> all(const Ended& ended) {
    std::vector<T> found;
    for (const auto& told : ended.told)
      if (const auto* message = std::get_if<T>(&told.message)) found.push_back(*message);
    return found;
  }
  /// Where in what was told the first message is of which `is` says yes; -1: nowhere.
  template <class T, class Is>
  static std::ptrdiff_t place_of(const Ended& ended, const Is& is) {
    const auto found = std::find_if(ended.told.begin(), ended.told.end(), [&](const auto& told) {
      const auto* message = std::get_if<T>(&told.message);
      return message != nullptr && is(*message);
    });
    return found == ended.told.end() ? -1 : found - ended.told.begin();
  }
  template <class T>
  static std::ptrdiff_t place_of_step(const Ended& ended, std::int64_t step) {
    return place_of<T>(ended, [&](const T& message) { return message.step == step; });
  }
  static std::string weights(const RunLayout& layout, std::int64_t step) {
    return read_manifest(layout.checkpoint(Step(step))).value().weights_sha256();
  }

  ScratchFolder folder_;
  RunConfig config_;
};

TEST_F(WorkerLoopTest, AloneItTellsTheWholeStory) {
  const RunLayout layout = make_run("alone");
  const Ended ended = run(layout, {.world = 1, .end_step = 6});
  ASSERT_EQ(ended.status, 0) << ended.output;
  std::vector<std::int64_t> trained, held_out;
  for (const auto& done : all<StepDone>(ended)) {
    const std::string kind = done.metrics.at("kind");
    (kind == "train" ? trained : held_out).push_back(done.step);
    EXPECT_EQ(done.metrics.at("step"), done.step);
    EXPECT_EQ(done.metrics.at("norms").size(), 3u);
    if (kind != "train") continue;
    EXPECT_GT(done.metrics.at("tokens_per_second").get<double>(), 0);
    for (const char* phase : {"data", "forward", "backward", "reduce", "optimizer", "checkpoint"})
      EXPECT_TRUE(done.metrics.at("phase_seconds").contains(phase));
  }
  EXPECT_EQ(trained, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(held_out, (std::vector<std::int64_t>{0, 3, 6}));
  std::vector<std::string> artifacts;
  for (const auto& artifact : all<Artifact>(ended)) {
    artifacts.push_back(artifact.kind + " " + std::to_string(artifact.step));
    EXPECT_TRUE(fs::exists(layout.root() / artifact.file)) << artifact.file;
  }
  EXPECT_EQ(artifacts, (std::vector<std::string>{"evaluation 0", "evaluation 6", "snapshot_part 6"}));
  EXPECT_EQ(read_evaluation(layout.evaluation_rows(Step(6))).value().size(), 12u);
  EXPECT_EQ(read_snapshot(layout.snapshot_part(Step(6), 0)).value().rows(), 7u);
  ASSERT_EQ(all<Finished>(ended).size(), 1u);
  EXPECT_FALSE(all<Heartbeat>(ended).empty());
  for (const std::int64_t step : {4, 6}) EXPECT_TRUE(verify_checkpoint(layout.checkpoint(Step(step))).has_value());
  EXPECT_NE(text_of(layout.worker_log(0)).find("INFO step 6 loss"), std::string::npos);
}

TEST_F(WorkerLoopTest, TrainingGoesOnWhileACheckpointIsWritten) {
  config_.evaluate.every = 0;
  const RunLayout plain = make_run("plain"), late = make_run("late");
  ASSERT_EQ(run(plain, {.world = 2, .end_step = 6}).status, 0);
  const Ended ended = run(late, {.world = 2, .end_step = 6, .withheld = {{4, 6}}});
  ASSERT_EQ(ended.status, 0) << ended.output;
  const auto committed = place_of_step<Committed>(ended, 4);
  EXPECT_LT(place_of_step<StepDone>(ended, 6), committed) << "two steps were taken before the commit";
  EXPECT_GT(place_of_step<PartWritten>(ended, 6), committed) << "the last checkpoint waits for the one before";
  EXPECT_GT(place_of_step<Finished>(ended, 6), place_of_step<Committed>(ended, 6));
  for (const std::int64_t step : {4, 6}) EXPECT_EQ(weights(late, step), weights(plain, step));
  for (const auto& done : all<StepDone>(ended))
    if (done.metrics.at("kind") == "train") {
      const double stood_still = done.metrics.at("phase_seconds").at("checkpoint").get<double>();
      EXPECT_EQ(stood_still > 0, done.step == 5) << "step " << done.step << ": " << stood_still;
    }
}

TEST_F(WorkerLoopTest, OneCheckpointIsWrittenAtATime) {
  config_.checkpoint.every = 1;
  const RunLayout layout = make_run("run");
  const Ended ended = run(layout, {.world = 1, .end_step = 6, .withheld = {{1, 2}, {3, 4}}});
  ASSERT_EQ(ended.status, 0) << ended.output;
  for (const std::int64_t step : {1, 3}) {
    const auto committed = place_of_step<Committed>(ended, step);
    EXPECT_LT(place_of_step<StepDone>(ended, step + 1), committed);
    EXPECT_GT(place_of_step<PartWritten>(ended, step + 1), committed);
    EXPECT_GT(place_of_step<StepDone>(ended, step + 2), committed) << "training waits";
  }
  const std::string log = text_of(layout.worker_log(0)), waits = "training waits for it";
  EXPECT_NE(log.find(waits), std::string::npos);
  EXPECT_EQ(log.find(waits), log.rfind(waits)) << "it is said once";
  for (const std::int64_t step : {1, 2, 3, 4, 5, 6})
    EXPECT_TRUE(verify_checkpoint(layout.checkpoint(Step(step))).has_value());
}

TEST_F(WorkerLoopTest, ACheckpointThatWasGivenUpIsMadeUpForWhereTheCoordinatorSays) {
  const RunLayout plain = make_run("plain"), made_up = make_run("made-up");
  ASSERT_EQ(run(plain, {.world = 1, .end_step = 5, .stop = true}).status, 0);
  const Ended ended = run(made_up, {.world = 2, .end_step = 6, .make_up = 5});
  ASSERT_EQ(ended.status, 0) << ended.output;
  std::vector<std::int64_t> committed;
  for (const auto& commit : all<Committed>(ended)) committed.push_back(commit.step);
  EXPECT_EQ(committed, (std::vector<std::int64_t>{4, 5, 6}));
  EXPECT_EQ(weights(made_up, 5), weights(plain, 5));
}

TEST_F(WorkerLoopTest, ACheckpointThatCannotBeWrittenEndsTheWorker) {
  const RunLayout layout = make_run("run");
  fs::create_directories(layout.checkpoints());
  std::ofstream(layout.partial_checkpoint(Step(4), Generation(1))) << "in the way";
  const Ended ended = run(layout, {.world = 2, .end_step = 6});
  EXPECT_EQ(ended.status, 4) << ended.output;
  ASSERT_FALSE(all<Failed>(ended).empty());
  EXPECT_EQ(all<Failed>(ended).front().code, 4);
  EXPECT_EQ(all<Failed>(ended).front().where, layout.partial_checkpoint(Step(4), Generation(1)).string());
  EXPECT_EQ(place_of_step<PartWritten>(ended, 4), -1);
}

TEST_F(WorkerLoopTest, UnderMpirunTheWeightsAreTheSame) {
  const RunLayout alone = make_run("alone");
  ASSERT_EQ(run(alone, {.world = 1, .end_step = 6}).status, 0);
  for (const int world : {2, 3}) {
    const RunLayout layout = make_run("world-" + std::to_string(world));
    fs::remove_all(folder_.path() / "data" / "reference");  // each group computes its own
    const Ended ended = run(layout, {.world = world, .end_step = 6});
    ASSERT_EQ(ended.status, 0) << ended.output;
    EXPECT_EQ(weights(layout, 6), weights(alone, 6));
    EXPECT_EQ(all<Finished>(ended).size(), static_cast<std::size_t>(world));
    std::vector<Snapshot> parts;
    for (int rank = 0; rank < world; ++rank)
      parts.push_back(read_snapshot(layout.snapshot_part(Step(6), rank)).value());
    EXPECT_EQ(merge_snapshots(parts, 7).value().vectors,
              merge_snapshots({read_snapshot(alone.snapshot_part(Step(6), 0)).value()}, 7).value().vectors);
    EXPECT_EQ(text_of(layout.evaluation_rows(Step(6))), text_of(alone.evaluation_rows(Step(6))));
  }
}

TEST_F(WorkerLoopTest, StoppedAndResumedAtAnotherCountTheWeightsAreTheSame) {
  const RunLayout whole = make_run("whole"), parts = make_run("parts");
  ASSERT_EQ(run(whole, {.world = 1, .end_step = 6}).status, 0);
  const Ended stopped = run(parts, {.world = 2, .end_step = 3, .stop = true});
  ASSERT_EQ(stopped.status, 0) << stopped.output;
  EXPECT_EQ(all<Finished>(stopped).size(), 2u);
  EXPECT_FALSE(fs::exists(parts.evaluation_rows(Step(3)))) << "a stop evaluates nothing";
  const std::string from = fs::relative(parts.checkpoint(Step(3)), parts.root()).string();
  const Ended resumed = run(parts, {.world = 1, .resume_from = from, .start_step = 3, .end_step = 6});
  ASSERT_EQ(resumed.status, 0) << resumed.output;
  EXPECT_EQ(weights(parts, 6), weights(whole, 6));
  const std::string computing = "computing the start model's log-probs";
  EXPECT_NE(text_of(whole.worker_log(0)).find(computing), std::string::npos);
  EXPECT_EQ(text_of(parts.worker_log(0)).find(computing), std::string::npos) << "they are kept beside the dataset";
  EXPECT_EQ(all<StepDone>(resumed).front().step, 4);
}

TEST_F(WorkerLoopTest, WhatAShellSetsDoesNotMoveABit) {
  const RunLayout plain = make_run("plain"), inherited = make_run("inherited");
  ASSERT_EQ(run(plain, {.world = 1, .end_step = 3}).status, 0);
  const std::pair<const char*, const char*> settings[] = {
      {"OMP_NUM_THREADS", "3"}, {"OMP_DYNAMIC", "TRUE"}, {"MKL_CBWR", "COMPATIBLE"}, {"OMP_THREAD_LIMIT", "2"}};
  for (const auto& [name, value] : settings) setenv(name, value, 1);
  const Ended ended = run(inherited, {.world = 1, .end_step = 3});
  for (const auto& [name, value] : settings) unsetenv(name);
  ASSERT_EQ(ended.status, 0) << ended.output;
  EXPECT_EQ(weights(inherited, 3), weights(plain, 3));
}

TEST_F(WorkerLoopTest, ACheckpointOfAnotherSeedIsRefused) {
  const RunLayout layout = make_run("run");
  ASSERT_EQ(run(layout, {.world = 1, .end_step = 2, .stop = true}).status, 0);
  config_.seed = 6;
  write_file_atomically(layout.config(), to_yaml(config_)).value();
  const std::string from = fs::relative(layout.checkpoint(Step(2)), layout.root()).string();
  const Ended ended = run(layout, {.world = 2, .resume_from = from, .start_step = 2, .end_step = 6});
  EXPECT_EQ(ended.status, 3) << ended.output;
  ASSERT_FALSE(all<Failed>(ended).empty());
  EXPECT_EQ(all<Failed>(ended).front().code, 3);
  EXPECT_NE(all<Failed>(ended).front().message.find("seed"), std::string::npos);
  EXPECT_NE(all<Failed>(ended).front().where.find("state.json"), std::string::npos);
}

TEST_F(WorkerLoopTest, ALostConnectionEndsTheWorker) {
  for (const int world : {1, 2}) {
    const RunLayout layout = make_run("lost-" + std::to_string(world));
    const Ended ended = run(layout, {.world = world, .end_step = 6, .hang_up = true});
    EXPECT_EQ(ended.status, 4) << ended.output;
    EXPECT_NE(text_of(layout.worker_log(0)).find("ERROR the connection to the coordinator is lost"), std::string::npos);
  }
}

TEST_F(WorkerLoopTest, AGpuThatIsNotThereIsExplained) {
  if (fs::exists("/dev/nvidiactl")) GTEST_SKIP() << "this machine may have a GPU";
  const fs::path output = folder_.path() / "output.txt";
  config_.workers.device = "cuda";
  EXPECT_EQ(Process({PLUMBLINE_WORKER_PROGRAM, "--join", make_run("run").root().string()}, output).wait(), 6);
  EXPECT_NE(text_of(output).find("workers.device"), std::string::npos) << text_of(output);
  EXPECT_NE(text_of(output).find("sees no GPU"), std::string::npos);
}

TEST_F(WorkerLoopTest, WrongCommandLinesAreExplained) {
  const fs::path output = folder_.path() / "output.txt";
  EXPECT_EQ(Process({PLUMBLINE_WORKER_PROGRAM}, output).wait(), 2);
  EXPECT_NE(text_of(output).find("--join"), std::string::npos);
  EXPECT_EQ(Process({PLUMBLINE_WORKER_PROGRAM, "--help"}, output).wait(), 0);
  EXPECT_EQ(Process({PLUMBLINE_WORKER_PROGRAM, "--join", (folder_.path() / "nowhere").string()}, output).wait(), 2);
  EXPECT_NE(text_of(output).find("nowhere"), std::string::npos);
}

}  // namespace
}  // namespace plumbline
