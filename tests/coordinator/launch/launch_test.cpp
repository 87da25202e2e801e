#include "coordinator/launch/launch.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/coordinator/launch/scratch.hpp"

namespace plumbline {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class LaunchTest : public Scratch {
 protected:
  static LaunchRequest of(int workers, int number = 0) {
    LaunchRequest request;
    request.workers = workers, request.number = number;
    request.group = "cafe";
    request.generation = Generation(1);
    return request;
  }
  Result<std::unique_ptr<Launcher>> make(int workers, const std::string& launcher = "auto",
                                         const std::string& device = "cpu") {
    RunConfig config;
    config.workers.launcher = launcher;
    config.workers.device = device;
    return make_launcher(config, workers, layout_);
  }
  std::string output() { return read(layout_.logs() / "launcher.log"); }
  /// Stands in for the worker: says how it was called.
  std::filesystem::path worker_ = script("worker", "echo \"$PLUMBLINE_GROUP rank ${OMPI_COMM_WORLD_RANK-none} $*\"");
  WithVariable program_{"PLUMBLINE_WORKER_PROGRAM", worker_.string()};
  RunLayout layout_{dir_ / "a run"};
};

TEST_F(LaunchTest, AutoIsLocalButForSeveralGpus) {
  EXPECT_EQ(make(1).value()->name(), "local");
  EXPECT_EQ(make(2).value()->name(), "local");
  EXPECT_EQ(make(1, "auto", "cuda").value()->name(), "local");
  EXPECT_EQ(make(2, "auto", "cuda").value()->name(), "mpirun");
  EXPECT_EQ(make(2, "local", "cuda").value()->name(), "local") << "asked for by name";
  EXPECT_EQ(make(1, "mpirun").value()->name(), "mpirun");
  EXPECT_EQ(make(2, "external").value()->name(), "external");
  EXPECT_TRUE(make(1).value()->restarts());
  EXPECT_TRUE(make(2, "mpirun").value()->restarts());
  EXPECT_TRUE(make(2).value()->elastic());
  for (const char* launcher : {"mpirun", "external"}) EXPECT_FALSE(make(2, launcher).value()->elastic());
  EXPECT_FALSE(make(2, "external").value()->restarts());
}

TEST_F(LaunchTest, WhatDoesNotSuitIsAUsageError) {
  const auto many = make(13);
  ASSERT_TRUE(many.has_error());
  EXPECT_EQ(many.error().code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(many.error()), AllOf(HasSubstr("13"), HasSubstr("12 lanes")));
  EXPECT_TRUE(make(0).has_error());
  EXPECT_TRUE(make(1, "teleport").has_error());
}

TEST_F(LaunchTest, LocalStartsOneWorkerAtATimeWithItsRunGroupAndNumber) {
  auto launcher = make(8).value();
  ASSERT_TRUE(launcher->check().has_value());
  std::string expected;
  for (const int number : {0, 7}) {
    auto worker = launcher->start(of(8, number)).value();
    ASSERT_TRUE(readable(worker->pidfd()));
    EXPECT_EQ(worker->wait().status, 0);
    expected += "cafe rank none --join " + layout_.root().string() + " --worker " + std::to_string(number) + "\n";
  }
  EXPECT_EQ(output(), expected);
  EXPECT_EQ(launcher->command(of(8, 7)), worker_.string() + " --join '" + layout_.root().string() + "' --worker 7");
}

TEST_F(LaunchTest, AMissingWorkerProgramSaysHowToBuildIt) {
  const WithVariable absent("PLUMBLINE_WORKER_PROGRAM", (dir_ / "absent").string());
  for (const char* launcher : {"local", "mpirun"}) {
    const Status status = make(2, launcher).value()->check();
    ASSERT_TRUE(status.has_error());
    EXPECT_EQ(status.error().code, ErrorCode::kEnvironment);
    EXPECT_EQ(status.error().where, (dir_ / "absent").string());
    EXPECT_THAT(status.error().hint, HasSubstr("./plumbline build"));
  }
}

TEST_F(LaunchTest, TheWorkerIsLookedForBesideThisProgram) {
  const WithVariable unset("PLUMBLINE_WORKER_PROGRAM", std::nullopt);
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  EXPECT_THAT(make(1).value()->command({}), HasSubstr((here / "plumbline-worker").string()));
}

TEST_F(LaunchTest, WithoutMpirunTheErrorNamesThePackage) {
  const WithVariable path("PATH", dir_.string());
  auto launcher = make(2, "mpirun").value();
  for (const Status& status : {launcher->check(), Status(launcher->start(of(2)).error())}) {
    ASSERT_TRUE(status.has_error());
    EXPECT_EQ(status.error().code, ErrorCode::kEnvironment);
    EXPECT_THAT(to_string(status.error()), AllOf(HasSubstr("mpirun"), HasSubstr("openmpi-bin")));
  }
  EXPECT_FALSE(std::filesystem::exists(layout_.root())) << "nothing is made before the check";
}

class Mpirun : public LaunchTest {
 protected:
  void SetUp() override {
    if (make(2, "mpirun").value()->check().has_error()) GTEST_SKIP() << "Open MPI's mpirun is not installed";
  }
};

TEST_F(Mpirun, StartsEveryRankAlsoInsideAForeignBatchJob) {
  const WithVariable id("SLURM_JOBID", "1"), job("SLURM_JOB_ID", "1"), nodes("SLURM_NODELIST", "elsewhere[1-2]"),
      job_nodes("SLURM_JOB_NODELIST", "elsewhere[1-2]"), count("SLURM_NNODES", "2"),
      tasks("SLURM_TASKS_PER_NODE", "1(x2)");
  auto group = make(3, "mpirun").value()->start(of(3)).value();
  ASSERT_TRUE(readable(group->pidfd(), 60000));
  EXPECT_EQ(group->wait().status, 0) << output();
  for (const char* rank : {"rank 0", "rank 1", "rank 2"})
    EXPECT_THAT(output(), HasSubstr(std::string("cafe ") + rank + " --join " + layout_.root().string()));
}

TEST_F(Mpirun, OneDeathEndsTheGroup) {
  script("worker", "test $OMPI_COMM_WORLD_RANK = 1 && kill -KILL $$; exec sleep 600");
  auto group = make(2, "mpirun").value()->start(of(2)).value();
  ASSERT_TRUE(readable(group->pidfd(), 60000));
  const GroupExit end = group->wait();
  EXPECT_EQ(end.status, 137) << end.description << "\n" << output();
}

// Ranks hold a named pipe open for writing as long as they live: its reader sees when the last one is gone.
TEST_F(Mpirun, TheRanksEndWithMpirun) {
  const auto held = dir_ / "held";
  ASSERT_EQ(mkfifo(held.c_str(), 0600), 0);
  script("worker", "exec 9> " + held.string() + "; echo up >&9; exec sleep 600");
  const int reader = open(held.c_str(), O_RDONLY | O_NONBLOCK);
  auto group = make(2, "mpirun").value()->start(of(2)).value();
  std::string up;
  while (up.size() < 6) {
    ASSERT_TRUE(readable(reader, 60000));
    char buffer[16];
    const ssize_t n = ::read(reader, buffer, sizeof buffer);
    if (n > 0) up.append(buffer, static_cast<std::size_t>(n));
  }
  EXPECT_EQ(up, "up\nup\n");
  group->terminate();
  ASSERT_TRUE(readable(group->pidfd(), 60000));
  EXPECT_NE(group->wait().status, 0);
  EXPECT_TRUE(readable(reader));
  close(reader);
}

TEST_F(LaunchTest, ExternalPrintsTheCommandAndStartsNothing) {
  auto launcher = make(4, "external").value();
  EXPECT_TRUE(launcher->check().has_value());
  const LaunchRequest request = of(4);
  EXPECT_THAT(launcher->command(request),
              AllOf(HasSubstr("mpirun "),
                    HasSubstr("-np 4 " + worker_.string() + " --join '" + layout_.root().string() + "'")));
  EXPECT_EQ(launcher->command(request).find("--allow-run-as-root") != std::string::npos, geteuid() == 0);
  auto group = launcher->start(request).value();
  EXPECT_EQ(group->pidfd(), -1);
  EXPECT_EQ(group->pid(), 0);
  group->terminate();
  group->kill();
  EXPECT_EQ(group->wait().status, 0);
  EXPECT_FALSE(std::filesystem::exists(layout_.root()));
}

}  // namespace
}  // namespace plumbline
