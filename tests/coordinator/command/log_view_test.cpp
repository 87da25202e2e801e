#include "coordinator/command/log_view.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <future>

#include "coordinator/journal/journal.hpp"
#include "tests/coordinator/command/scratch.hpp"

namespace plumbline {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTime = "2026-11-24T10:24:13.123456Z";

class LogViewTest : public ScratchFolder {
 protected:
  LogViewTest() {
    std::signal(SIGPIPE, SIG_IGN);
    std::filesystem::create_directories(layout_.logs());
    journal("run_created");
    EXPECT_EQ(pipe2(pipe_.data(), O_CLOEXEC), 0);
  }
  ~LogViewTest() override {
    for (const int fd : pipe_)
      if (fd >= 0) close(fd);
  }
  void journal(const std::string& event) const {
    ASSERT_TRUE(Journal::open(layout_).value().append(event, Json::object()).has_value());
  }
  void log(int rank, const std::string& text) const {
    append(rank < 0 ? layout_.coordinator_log() : layout_.worker_log(rank), kTime + (" " + text + "\n"));
  }
  void served_by(std::int64_t pid, std::string host = {}) const {
    std::array<char, 256> here{};
    gethostname(here.data(), here.size() - 1);
    if (host.empty()) host = here.data();
    ASSERT_TRUE(write_address(layout_, {"127.0.0.1", 1, Generation(1), pid, host}).has_value());
  }
  /// What view_logs prints when it does not follow (and fits into the pipe).
  std::string printed(const LogView& view) {
    const Status status = view_logs(layout_, view, pipe_[1]);
    EXPECT_TRUE(status.has_value()) << to_string(status.error());
    close_end(1);
    std::string text;
    std::array<char, 4096> part{};
    for (ssize_t n = 0; (n = ::read(pipe_[0], part.data(), part.size())) > 0;)
      text.append(part.data(), static_cast<std::size_t>(n));
    return text;
  }
  /// The next line of a follower, which has long enough.
  std::string next_line() {
    std::string line;
    for (char c = 0; c != '\n'; line += c) {
      pollfd p{pipe_[0], POLLIN, 0};
      if (poll(&p, 1, 20000) != 1 || ::read(pipe_[0], &c, 1) != 1) return line + "<nothing more>";
    }
    return line;
  }
  std::future<Status> follow(LogView view = {}) {
    view.follow = true;
    return std::async(std::launch::async, [this, view] { return view_logs(layout_, view, pipe_[1]); });
  }
  void close_end(int end) {
    close(pipe_[static_cast<std::size_t>(end)]);
    pipe_[static_cast<std::size_t>(end)] = -1;
  }

  RunLayout layout_{dir_ / "run"};
  std::array<int, 2> pipe_{-1, -1};
};

TEST_F(LogViewTest, EachLineSaysWhoWroteIt) {
  log(-1, "INFO started");
  log(1, "INFO joined");
  EXPECT_EQ(printed({}), std::string(kTime) + " [coordinator] INFO started\n" + kTime + " [rank 1] INFO joined\n");
}

TEST_F(LogViewTest, LevelAndNewestNarrowIt) {
  for (const char* text : {"INFO one", "WARN two", "DEBUG three", "ERROR four", "WARN five"}) log(0, text);
  LogView view;
  view.level = LogLevel::kWarn;
  view.newest = 2;
  EXPECT_EQ(printed(view), std::string(kTime) + " [rank 0] ERROR four\n" + kTime + " [rank 0] WARN five\n");
}

TEST_F(LogViewTest, NewestZeroPrintsNothing) {
  log(0, "INFO one");
  LogView view;
  view.newest = 0;
  EXPECT_EQ(printed(view), "");
}

TEST_F(LogViewTest, NoRunIsADataError) {
  const Status status = view_logs(RunLayout(dir_ / "nowhere"), {}, pipe_[1]);
  ASSERT_TRUE(status.has_error());
  EXPECT_EQ(status.error().code, ErrorCode::kData);
  EXPECT_THAT(status.error().where, HasSubstr("nowhere"));
}

TEST_F(LogViewTest, FollowsLinesAndNewFilesUntilTheCoordinatorEnds) {
  journal("coordinator_started");
  served_by(getpid());
  log(0, "INFO before");
  auto following = follow();
  EXPECT_THAT(next_line(), HasSubstr("[rank 0] INFO before"));
  log(0, "INFO after");
  EXPECT_THAT(next_line(), HasSubstr("[rank 0] INFO after"));
  log(3, "INFO a late rank");
  EXPECT_THAT(next_line(), HasSubstr("[rank 3] INFO a late rank"));
  log(-1, "INFO the last word");
  journal("run_finished");
  std::filesystem::remove(layout_.coordinator());
  EXPECT_THAT(next_line(), HasSubstr("[coordinator] INFO the last word"));
  EXPECT_TRUE(following.get().has_value());
}

TEST_F(LogViewTest, FollowingARunThatIsOverShowsItAndEnds) {
  journal("coordinator_started");
  journal("run_stopped");
  log(0, "INFO before");
  append(layout_.worker_log(0), "cut by a cra");
  EXPECT_TRUE(follow().get().has_value());
  EXPECT_THAT(next_line(), HasSubstr("before"));
  EXPECT_THAT(next_line(), HasSubstr("cut by a cra"));
}

TEST_F(LogViewTest, FollowingEndsWithAKilledCoordinator) {
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  ASSERT_EQ(waitpid(dead, nullptr, 0), dead);
  journal("coordinator_started");
  served_by(dead);
  EXPECT_TRUE(follow().get().has_value());
}

TEST_F(LogViewTest, FollowingARunThatNobodyServesAnyMoreEnds) {
  journal("coordinator_started");  // and then it was killed; coordinator.json was removed since
  log(0, "INFO the last step");
  EXPECT_TRUE(follow().get().has_value());
  EXPECT_THAT(next_line(), HasSubstr("the last step"));
}

TEST_F(LogViewTest, ACoordinatorThatHoldsTheJournalIsWaitedFor) {
  journal("coordinator_started");
  std::optional<Journal> serving(Journal::open(layout_).value());
  auto following = follow();
  log(0, "INFO resumed");
  EXPECT_THAT(next_line(), HasSubstr("resumed"));
  EXPECT_TRUE(serving->append("run_failed", Json::object()).has_value());
  serving.reset();
  EXPECT_TRUE(following.get().has_value());
}

TEST_F(LogViewTest, ACoordinatorOnAnotherHostIsBelievedToLive) {
  journal("coordinator_started");
  served_by(1 << 30, "elsewhere");
  auto following = follow();
  log(0, "INFO still here");
  EXPECT_THAT(next_line(), HasSubstr("still here"));
  journal("run_failed");
  EXPECT_TRUE(following.get().has_value());
}

TEST_F(LogViewTest, ARunThatIsJustStartingIsWaitedFor) {
  auto following = follow();
  log(0, "INFO here it comes");
  EXPECT_THAT(next_line(), HasSubstr("here it comes"));
  journal("run_finished");
  EXPECT_TRUE(following.get().has_value());
}

TEST_F(LogViewTest, EndsQuietlyWhenTheReaderGoes) {
  journal("coordinator_started");
  served_by(getpid());
  log(0, "INFO one");
  auto following = follow();
  EXPECT_THAT(next_line(), HasSubstr("one"));
  close_end(0);  // Nothing more is written: the follower notices all the same.
  EXPECT_TRUE(following.get().has_value());
}

TEST_F(LogViewTest, OutputThatTakesNothingIsAnError) {
  log(0, "INFO one");
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  const Status status = view_logs(layout_, {}, full);
  close(full);
  ASSERT_TRUE(status.has_error());
  EXPECT_EQ(status.error().code, ErrorCode::kEnvironment);
}

}  // namespace
}  // namespace plumbline
