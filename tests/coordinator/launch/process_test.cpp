#include "coordinator/launch/process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "tests/coordinator/launch/scratch.hpp"

namespace plumbline {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ProcessTest : public Scratch {
 protected:
  Result<std::unique_ptr<WorkerGroup>> start(const std::filesystem::path& program,
                                             std::vector<std::string> words = {}) {
    words.insert(words.begin(), program);
    return start_process({words, worker_environment("abc"), log()});
  }
  [[nodiscard]] std::filesystem::path log() const { return dir_ / "logs" / "launcher.log"; }
  [[nodiscard]] std::filesystem::path fifo(const std::string& name) const {
    const auto path = dir_ / name;
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    return path;
  }
  GroupExit end_of(WorkerGroup& group) {
    EXPECT_TRUE(readable(group.pidfd()));
    return group.wait();
  }
};

TEST_F(ProcessTest, OutputIsAppendedAndTheStatusTold) {
  for (const char* status : {"0", "7"}) {
    auto group = start(script("program", "echo out $1; echo err >&2; exit $1"), {status}).value();
    EXPECT_GT(group->pid(), 0);
    const GroupExit end = end_of(*group);
    EXPECT_EQ(end.status, std::atoi(status));
    EXPECT_EQ(end.description, std::string("exited with status ") + status);
  }
  EXPECT_EQ(read(log()), "out 0\nerr\nout 7\nerr\n");
}

TEST_F(ProcessTest, InputAndOutputMayBeOurs) {
  int to[2], from[2];
  ASSERT_EQ(pipe2(to, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(from, O_CLOEXEC), 0);
  ProcessSpec spec{
      {script("program", "read line; echo \"got $line\"; echo err >&2")}, worker_environment("abc"), log()};
  spec.input = to[0];
  spec.output = from[1];
  auto group = start_process(spec).value();
  close(to[0]);
  close(from[1]);
  ASSERT_EQ(write(to[1], "this\n", 5), 5);
  close(to[1]);
  char answer[16] = "";
  EXPECT_EQ(::read(from[0], answer, sizeof answer), 9);
  EXPECT_STREQ(answer, "got this\n");
  EXPECT_EQ(end_of(*group).status, 0);
  close(from[0]);
  EXPECT_EQ(read(log()), "err\n");
}

TEST_F(ProcessTest, ASignalIsNamed) {
  auto group = start(script("program", "kill -KILL $$")).value();
  const GroupExit end = end_of(*group);
  EXPECT_EQ(end.status, 128 + SIGKILL);
  EXPECT_EQ(end.description, "was ended by SIGKILL");
}

TEST_F(ProcessTest, RunsInItsOwnGroupWithoutInputAndForeignDescriptors) {
  const int leaked = open("/dev/null", O_RDONLY);  // Without CLOEXEC, as a library may open it.
  ASSERT_GE(leaked, 0);
  auto group =
      start(script("program", "ps -o pgid= -p $$; readlink /proc/self/fd/0; ls /proc/$$/fd; read x || echo empty"))
          .value();
  const std::string pid = std::to_string(group->pid());
  end_of(*group);
  close(leaked);
  const std::string text = read(log());
  EXPECT_THAT(text, HasSubstr(pid + "\n/dev/null\n"));
  EXPECT_THAT(text, Not(HasSubstr("\n" + std::to_string(leaked) + "\n")));
  EXPECT_THAT(text, HasSubstr("empty\n"));
}

TEST_F(ProcessTest, IgnoredAndBlockedSignalsDoNotPassOn) {
  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &before);
  sigset_t term, mask;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, &mask);
  auto group = start(script("program", "exec grep -E '^Sig(Blk|Ign)' /proc/self/status")).value();
  end_of(*group);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  sigaction(SIGPIPE, &before, nullptr);
  EXPECT_THAT(read(log()), HasSubstr("SigBlk:\t0000000000000000\nSigIgn:\t000000000000000"));
  const std::string ignored = read(log()).substr(read(log()).find("SigIgn:") + 8, 16);
  EXPECT_EQ(std::stoull(ignored, nullptr, 16) & (1ULL << (SIGPIPE - 1)), 0U);
}

TEST_F(ProcessTest, TerminateAsksTheWholeGroup) {
  const auto ready = fifo("ready");
  auto group = start(script("program",
                            "trap 'echo asked; exit 9' TERM; sh -c 'trap \"echo child asked; exit\" TERM; echo up > " +
                                ready.string() + "; while :; do sleep 0.01; done' & while :; do wait; done"))
                   .value();
  EXPECT_EQ(first_line(ready), "up");
  group->terminate();
  EXPECT_EQ(end_of(*group).status, 9);
  EXPECT_THAT(read(log()), HasSubstr("asked"));
}

TEST_F(ProcessTest, WhatTheLeaderLeavesBehindEndsWithIt) {
  const auto ready = fifo("ready"), held = fifo("held");
  const int reader = open(held.c_str(), O_RDONLY | O_NONBLOCK);
  // The child keeps `held` open for writing as long as it lives; the leader ends once the child is up.
  auto group =
      start(script("program", "exec 9> " + held.string() + "; sleep 600 & echo up > " + ready.string() + "; exit 3"))
          .value();
  EXPECT_EQ(first_line(ready), "up");
  EXPECT_EQ(end_of(*group).status, 3);
  EXPECT_TRUE(readable(reader)) << "the child's end of the pipe is closed";
  close(reader);
}

TEST_F(ProcessTest, DestroyingAGroupEndsAndReapsIt) {
  const auto ready = fifo("ready");
  pid_t pid = 0;
  {
    auto group = start(script("program", "echo up > " + ready.string() + "; exec sleep 600")).value();
    pid = static_cast<pid_t>(group->pid());
    EXPECT_EQ(first_line(ready), "up");
  }
  EXPECT_EQ(kill(pid, 0), -1) << "no process, not even a zombie";
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(ProcessTest, AStoppedGroupEndsToo) {
  const auto ready = fifo("ready");
  auto group = start(script("program", "echo up > " + ready.string() + "; exec sleep 600")).value();
  EXPECT_EQ(first_line(ready), "up");
  kill(static_cast<pid_t>(group->pid()), SIGSTOP);
  group->terminate();
  EXPECT_EQ(end_of(*group).description, "was ended by SIGTERM");
}

TEST_F(ProcessTest, KillDoesNotAsk) {
  const auto ready = fifo("ready");
  auto group =
      start(script("program", "trap '' TERM; echo up > " + ready.string() + "; while :; do sleep 0.01; done")).value();
  EXPECT_EQ(first_line(ready), "up");
  group->terminate();
  group->kill();
  EXPECT_EQ(end_of(*group).description, "was ended by SIGKILL");
}

// A coordinator that SIGKILL ends cannot end its workers; the kernel does.
TEST_F(ProcessTest, AGroupDoesNotOutliveAKilledParent) {
  const auto ready = fifo("ready"), held = fifo("held");
  const auto program =
      script("program", "exec 9> " + held.string() + "; echo up > " + ready.string() + "; exec sleep 600");
  const pid_t parent = fork();
  if (parent == 0) {
    auto group = start(program);
    if (group.has_error()) _exit(1);
    for (;;) pause();
  }
  const int reader = open(held.c_str(), O_RDONLY | O_NONBLOCK);
  EXPECT_EQ(first_line(ready), "up");
  ASSERT_EQ(kill(parent, SIGKILL), 0);
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  EXPECT_TRUE(readable(reader)) << "the worker's end of the pipe is closed";
  close(reader);
}

TEST_F(ProcessTest, AProgramThatCannotStartIsAnError) {
  const auto absent = start(dir_ / "absent");
  ASSERT_TRUE(absent.has_error());
  EXPECT_EQ(absent.error().code, ErrorCode::kEnvironment);
  EXPECT_EQ(absent.error().where, (dir_ / "absent").string());
  EXPECT_THAT(absent.error().message, HasSubstr("No such file"));
  const auto folder = start(dir_);
  ASSERT_TRUE(folder.has_error());
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no zombie";
}

TEST_F(ProcessTest, ALogThatCannotBeWrittenIsAnError) {
  const auto group = start_process({{"/bin/true"}, {}, dir_ / "file" / "log"});
  std::ofstream(dir_ / "plain") << "x";
  const auto under_a_file = start_process({{"/bin/true"}, {}, dir_ / "plain" / "log"});
  EXPECT_TRUE(group.has_value());
  ASSERT_TRUE(under_a_file.has_error());
  EXPECT_EQ(under_a_file.error().where, (dir_ / "plain" / "log").string());
}

bool has(const std::vector<std::string>& environment, const std::string& variable) {
  return std::find(environment.begin(), environment.end(), variable) != environment.end();
}

TEST(WorkerEnvironment, LeavesOutOuterLaunchersAndKeepsTheRest) {
  const WithVariable kept("PLUMBLINE_TEST_KEPT", "1"), group("PLUMBLINE_GROUP", "outer"), job("SLURM_JOB_ID", "4"),
      rank("PMI_RANK", "0"), setting("OMPI_MCA_mpi_warn_on_fork", "0"), no_pmix("PMIX_RANK", std::nullopt),
      no_ompi("OMPI_COMM_WORLD_RANK", std::nullopt);
  const auto environment = worker_environment("abc");
  EXPECT_TRUE(has(environment, "PLUMBLINE_TEST_KEPT=1"));
  EXPECT_TRUE(has(environment, "PLUMBLINE_GROUP=abc"));
  EXPECT_FALSE(has(environment, "PLUMBLINE_GROUP=outer"));
  EXPECT_FALSE(has(environment, "SLURM_JOB_ID=4"));
  EXPECT_FALSE(has(environment, "PMI_RANK=0"));
  EXPECT_TRUE(has(environment, "OMPI_MCA_mpi_warn_on_fork=0")) << "a person's own setting";
}

TEST(WorkerEnvironment, SettingsOfAnOuterMpirunAreNotAPersons) {
  const WithVariable rank("OMPI_COMM_WORLD_RANK", "0"), setting("OMPI_MCA_ess_base_jobid", "1");
  for (const std::string& variable : worker_environment("abc")) EXPECT_THAT(variable, Not(StartsWith("OMPI_")));
}

TEST(ShellQuote, IsTakenBackByAShell) {
  EXPECT_EQ(shell_quote({"mpirun", "-np", "2", "/a/b-c_d.e"}), "mpirun -np 2 /a/b-c_d.e");
  EXPECT_EQ(shell_quote({"a b", "", "it's", "$x", "*"}), R"('a b' '' 'it'\''s' '$x' '*')");
}

TEST_F(Scratch, FindsExecutablesInThePath) {
  std::filesystem::create_directories(dir_ / "a" / "tool");  // A folder of that name is no program.
  std::filesystem::create_directories(dir_ / "b");
  std::ofstream(dir_ / "b" / "tool") << "not executable";
  const auto tool = script("tool", "true");
  const WithVariable path("PATH", (dir_ / "a").string() + ":" + (dir_ / "b").string() + ":" + dir_.string());
  EXPECT_EQ(find_program("tool"), tool);
  EXPECT_EQ(find_program("other"), std::nullopt);
  const WithVariable none("PATH", std::nullopt);
  EXPECT_EQ(find_program("tool"), std::nullopt);
}

}  // namespace
}  // namespace plumbline
