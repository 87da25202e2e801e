#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "coordinator/journal/journal.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class JournalFile : public ::testing::Test {
 protected:
  JournalFile() {
    std::string name = (fs::temp_directory_path() / "plumbline-journal-XXXXXX").string();
    layout_ = RunLayout(mkdtemp(name.data()));
  }
  ~JournalFile() override { fs::remove_all(layout_.root()); }
  [[nodiscard]] std::string text() const {
    std::ifstream in(layout_.journal(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& bytes) const { std::ofstream(layout_.journal(), std::ios::binary) << bytes; }

  RunLayout layout_{""};
};

TEST_F(JournalFile, AppendsAcrossOpenings) {
  {
    auto journal = Journal::open(layout_).value();
    EXPECT_TRUE(journal.entries().empty());
    ASSERT_TRUE(journal.append("run_created", {{"name", "a"}}).has_value());
  }
  {
    auto journal = Journal::open(layout_).value();
    ASSERT_TRUE(journal.append("coordinator_started", Json::object()).has_value());
    ASSERT_EQ(journal.entries().size(), 2U);
    EXPECT_EQ(journal.entries()[1].seq, 2);
  }
  const auto entries = read_journal(layout_.journal());
  ASSERT_TRUE(entries.has_value());
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ(entries->at(0).data.at("name"), "a");
  EXPECT_EQ(entries->at(1).event, "coordinator_started");
  EXPECT_EQ(entries->at(1).time.size(), std::string("2026-11-24T10:24:13.123456Z").size());
}

TEST_F(JournalFile, ACutLastLineIsDroppedAndWrittenOver) {
  {
    auto journal = Journal::open(layout_).value();
    ASSERT_TRUE(journal.append("run_created", Json::object()).has_value());
  }
  const std::string whole = text();
  write(whole + R"({"seq":2,"time":"2026-)");
  EXPECT_EQ(read_journal(layout_.journal())->size(), 1U) << "a reader passes over it";
  auto journal = Journal::open(layout_).value();
  EXPECT_EQ(text(), whole);
  ASSERT_TRUE(journal.append("coordinator_started", Json::object()).has_value());
  EXPECT_EQ(read_journal(layout_.journal())->size(), 2U);
}

TEST_F(JournalFile, ABrokenEarlierLineIsNotTouched) {
  {
    auto journal = Journal::open(layout_).value();
    ASSERT_TRUE(journal.append("run_created", Json::object()).has_value());
    ASSERT_TRUE(journal.append("coordinator_started", Json::object()).has_value());
  }
  std::string broken = text();
  broken.replace(broken.find("created"), 7, "deleted");
  write(broken);
  const auto journal = Journal::open(layout_);
  ASSERT_TRUE(journal.has_error());
  EXPECT_EQ(journal.error().code, ErrorCode::kData);
  EXPECT_EQ(journal.error().where, layout_.journal().string() + ":1");
  EXPECT_EQ(text(), broken);
}

TEST_F(JournalFile, OneWriterAtATime) {
  ASSERT_TRUE(write_address(layout_, {"127.0.0.1", 1, Generation(1), 4242, "node7"}).has_value());
  {
    auto first = Journal::open(layout_).value();
    const auto second = Journal::open(layout_);
    ASSERT_TRUE(second.has_error());
    EXPECT_EQ(second.error().code, ErrorCode::kUsage);
    EXPECT_THAT(to_string(second.error()), HasSubstr("4242 on node7"));
    EXPECT_THAT(to_string(second.error()), HasSubstr("plumbline stop"));
    Journal moved = std::move(first);
    EXPECT_TRUE(Journal::open(layout_).has_error()) << "the lock moves with the journal";
  }
  EXPECT_TRUE(Journal::open(layout_).has_value()) << "the lock goes with the journal";
}

TEST_F(JournalFile, WhetherItIsHeldCanBeAskedWithoutHoldingIt) {
  EXPECT_FALSE(is_held(layout_)) << "there is none yet";
  {
    const auto journal = Journal::open(layout_).value();
    EXPECT_TRUE(is_held(layout_));
  }
  EXPECT_FALSE(is_held(layout_));
  EXPECT_TRUE(Journal::open(layout_).has_value());
}

TEST_F(JournalFile, OneThatHoldsItIsSupersededByWhoTakesItOver) {
  ASSERT_TRUE(write_address(layout_, {"127.0.0.1", 1, Generation(1), 4242, "node7"}).has_value());
  auto first = Journal::open(layout_).value();
  ASSERT_TRUE(first.append("run_created", Json::object()).has_value());
  ASSERT_TRUE(first.append("coordinator_started", Json::object()).has_value());
  EXPECT_FALSE(first.claim().superseded_by());
  auto second = Journal::take_over(layout_).value();
  const Status late = first.append("checkpoint_committed", {{"step", 8}});
  ASSERT_TRUE(late.has_error());
  EXPECT_EQ(late.error().code, ErrorCode::kRun);
  EXPECT_THAT(to_string(late.error()), HasSubstr("taken the run over: process " + std::to_string(getpid())));
  EXPECT_EQ(first.entries().size(), 2U);
  ASSERT_TRUE(second.append("coordinator_started", Json::object()).has_value());
  const auto entries = read_journal(layout_.journal()).value();
  ASSERT_EQ(entries.size(), 4U) << "what the first wrote since is in no file";
  EXPECT_EQ(entries[2].event, "run_taken_over");
  EXPECT_EQ(entries[2].data, Json({{"pid", 4242}, {"hostname", "node7"}}));
  EXPECT_EQ(entries[3].seq, 4);
  { const Journal ended = std::move(first); }
  EXPECT_TRUE(is_held(layout_)) << "by the second";
  EXPECT_TRUE(Journal::open(layout_).has_error());
}

TEST_F(JournalFile, WhoIsSupersededMayHaveStoppedInTheMiddleOfALine) {
  auto first = Journal::open(layout_).value();
  ASSERT_TRUE(first.append("run_created", Json::object()).has_value());
  std::ofstream(layout_.journal(), std::ios::app) << R"({"seq":2,"time":"2026-)";
  const auto second = Journal::take_over(layout_).value();
  ASSERT_EQ(second.entries().size(), 2U);
  EXPECT_EQ(second.entries()[1].data, Json({{"pid", nullptr}, {"hostname", nullptr}})) << "nobody knows who had it";
  EXPECT_EQ(read_journal(layout_.journal())->size(), 2U);
}

/// A file system that locks on each host alone gives both the lock.
TEST_F(JournalFile, EveryOpeningSupersedesTheOneBefore) {
  auto first = Journal::open(layout_).value();
  const Claim other = Claim::lay(layout_).value();
  EXPECT_TRUE(first.append("run_created", Json::object()).has_error());
  EXPECT_TRUE(other.check().has_value());
  for (const char* text : {"", "{", "[]", "{\"token\":7}"}) {
    std::ofstream(layout_.claim(), std::ios::trunc) << text;
    EXPECT_EQ(other.check().has_error(), text == std::string("{\"token\":7}")) << text;
  }
  fs::remove(layout_.claim());
  EXPECT_TRUE(other.check().has_value()) << "a file that is gone names nobody";
}

TEST_F(JournalFile, NothingIsTakenOverWhereNothingIs) {
  EXPECT_TRUE(Journal::take_over(layout_).has_error());
  EXPECT_FALSE(fs::exists(layout_.journal()));
}

TEST_F(JournalFile, NoDirectoryIsAnError) {
  const auto journal = Journal::open(RunLayout(layout_.root() / "absent"));
  ASSERT_TRUE(journal.has_error());
  EXPECT_EQ(journal.error().where, (layout_.root() / "absent" / "journal.jsonl").string());
  EXPECT_TRUE(read_journal(layout_.root() / "absent.jsonl").has_error());
}

TEST_F(JournalFile, AnEventThatIsTooLongIsRefusedAndLeavesNothing) {
  auto journal = Journal::open(layout_).value();
  ASSERT_TRUE(journal.append("run_created", Json::object()).has_value());
  const std::string before = text();
  EXPECT_TRUE(journal.append("evaluated", {{"text", std::string(kMaxJournalLineBytes, 'x')}}).has_error());
  EXPECT_EQ(text(), before);
  EXPECT_TRUE(journal.append("evaluated", Json::object()).has_value());
}

// A limit on the file's size makes the system write half a line and refuse the rest, as a full disk does. In a child,
// since the limit binds a whole process.
TEST_F(JournalFile, AWriteThatTheSystemCutsIsTakenBack) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    auto journal = Journal::open(layout_);
    if (journal.has_error() || journal->append("run_created", Json::object()).has_error()) _exit(10);
    const std::string before = text();
    const rlimit limit{before.size() + 20, before.size() + 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status cut = journal->append("coordinator_started", Json::object());
    if (cut.has_value() || cut.error().code != ErrorCode::kRun) _exit(11);
    if (text() != before) _exit(12);
    _exit(journal->entries().size() == 1 ? 0 : 13);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "exit status " << WEXITSTATUS(status);
  EXPECT_EQ(read_journal(layout_.journal())->size(), 1U);
}

TEST_F(JournalFile, AFullDiskIsNamedAndLeavesWholeLines) {
  if (mount("tmpfs", layout_.root().c_str(), "tmpfs", 0, "size=8k") != 0)
    GTEST_SKIP() << "mounting a small file system needs root";
  {
    auto journal = Journal::open(layout_).value();
    Status status;
    std::size_t written = 0;
    while (status.has_value() && written < 100) {
      status = journal.append("evaluated", {{"text", std::string(500, 'x')}});
      written += status.has_value() ? 1 : 0;
    }
    ASSERT_TRUE(status.has_error());
    EXPECT_EQ(status.error().message, "the disk is full");
    EXPECT_THAT(status.error().hint, HasSubstr("plumbline resume"));
    EXPECT_EQ(read_journal(layout_.journal())->size(), written);
    EXPECT_EQ(text().back(), '\n');
  }
  umount2(layout_.root().c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace plumbline
