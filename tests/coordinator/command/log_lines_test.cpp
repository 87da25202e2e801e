#include "coordinator/command/log_lines.hpp"

#include <gmock/gmock.h>

#include "tests/coordinator/command/scratch.hpp"

namespace plumbline {
namespace {

using ::testing::ElementsAre;

std::string stamped(int second, const std::string& rest) {
  char time[40];
  std::snprintf(time, sizeof time, "2026-11-24T10:24:%02d.000000Z ", second);
  return time + rest + "\n";
}

TEST(ParseLogLine, KnowsOurLines) {
  const auto line = parse_log_line("2026-11-24T10:24:13.123456Z WARN the disk is slow");
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(line->time, "2026-11-24T10:24:13.123456Z");
  EXPECT_EQ(line->level, LogLevel::kWarn);
  EXPECT_EQ(line->text, "WARN the disk is slow");
}

TEST(ParseLogLine, AnythingElseIsTheRestOfALongerMessage) {
  for (const char* text : {"", "  at frame 3", "2026-11-24T10:24:13.123456Z", "2026-11-24T10:24:13.123456Z LOUD x",
                           "2026-11-24 10:24:13.123456Z INFO x", "xxxx-11-24T10:24:13.123456Z INFO x"})
    EXPECT_FALSE(parse_log_line(text).has_value()) << text;
}

class Logs : public ScratchFolder {
 protected:
  std::vector<std::string> all(LogMerge& merge, Unfinished unfinished = Unfinished::kTake) {
    EXPECT_TRUE(merge.discover().has_value());
    std::vector<std::string> lines;
    while (const auto line = merge.next(unfinished)) lines.push_back(line->label + ": " + line->line.text);
    return lines;
  }
};

TEST_F(Logs, AreMergedByTime) {
  write(dir_ / "worker-0000.log", stamped(2, "INFO a") + stamped(4, "INFO b"));
  write(dir_ / "worker-0001.log", stamped(1, "INFO c") + stamped(4, "INFO d") + stamped(5, "INFO e"));
  write(dir_ / "coordinator.log", stamped(3, "INFO f"));
  write(dir_ / "launcher.log", "mpirun's own output has no times\n");
  LogMerge merge(dir_, std::nullopt);
  EXPECT_THAT(all(merge), ElementsAre("rank 1: INFO c", "rank 0: INFO a", "coordinator: INFO f", "rank 0: INFO b",
                                      "rank 1: INFO d", "rank 1: INFO e"));
}

TEST_F(Logs, OfOneRankAlone) {
  write(dir_ / "worker-0000.log", stamped(2, "INFO a"));
  write(dir_ / "worker-0001.log", stamped(1, "INFO c"));
  write(dir_ / "worker-0010.log", stamped(1, "INFO x"));
  write(dir_ / "worker-1x.log", stamped(1, "INFO y"));
  write(dir_ / "coordinator.log", stamped(3, "INFO f"));
  LogMerge merge(dir_, 1);
  EXPECT_THAT(all(merge), ElementsAre("rank 1: INFO c"));
}

TEST_F(Logs, TheRestOfAMessageStaysWithIt) {
  write(dir_ / "worker-0000.log", stamped(1, "ERROR a") + "  more\n" + stamped(9, "INFO b"));
  write(dir_ / "worker-0001.log", stamped(5, "INFO c"));
  LogMerge merge(dir_, std::nullopt);
  EXPECT_THAT(all(merge), ElementsAre("rank 0: ERROR a", "rank 0:   more", "rank 1: INFO c", "rank 0: INFO b"));
}

TEST_F(Logs, NewLinesAndFilesJoinIn) {
  write(dir_ / "worker-0000.log", stamped(1, "INFO a"));
  LogMerge merge(dir_, std::nullopt);
  EXPECT_THAT(all(merge), ElementsAre("rank 0: INFO a"));
  EXPECT_THAT(all(merge), ElementsAre());
  append(dir_ / "worker-0000.log", stamped(3, "INFO b"));
  write(dir_ / "worker-0001.log", stamped(2, "INFO c"));
  EXPECT_THAT(all(merge), ElementsAre("rank 1: INFO c", "rank 0: INFO b"));
}

TEST_F(Logs, AnUnfinishedLineWaitsForItsEnd) {
  write(dir_ / "worker-0000.log", stamped(1, "INFO a") + "2026-11-24T10:24:02.000000Z INFO half");
  LogMerge merge(dir_, std::nullopt);
  EXPECT_THAT(all(merge, Unfinished::kLeave), ElementsAre("rank 0: INFO a"));
  append(dir_ / "worker-0000.log", " and half\nend");
  EXPECT_THAT(all(merge, Unfinished::kLeave), ElementsAre("rank 0: INFO half and half"));
  EXPECT_THAT(all(merge, Unfinished::kTake), ElementsAre("rank 0: end"));
}

TEST_F(Logs, ALogThatWasCutIsReadFromItsStart) {
  write(dir_ / "worker-0000.log", stamped(1, "INFO a") + stamped(2, "INFO b"));
  LogMerge merge(dir_, std::nullopt);
  EXPECT_EQ(all(merge).size(), 2U);
  write(dir_ / "worker-0000.log", stamped(3, "INFO c"));
  EXPECT_THAT(all(merge), ElementsAre("rank 0: INFO c"));
}

TEST_F(Logs, LinesLongerThanAChunkAreWholeAndOverlongOnesCut) {
  const std::string fits = stamped(1, "INFO " + std::string(LogFile::kMaxLineBytes - 100, 'x'));
  write(dir_ / "worker-0000.log",
        fits + stamped(2, "INFO " + std::string(3 * LogFile::kMaxLineBytes, 'y')) + stamped(3, "INFO z"));
  LogMerge merge(dir_, std::nullopt);
  const auto lines = all(merge);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].size(), std::string("rank 0: INFO ").size() + LogFile::kMaxLineBytes - 100);
  EXPECT_TRUE(lines[1].ends_with("y…"));
  EXPECT_LT(lines[1].size(), LogFile::kMaxLineBytes + 20);
  EXPECT_EQ(lines[2], "rank 0: INFO z");
}

TEST_F(Logs, NoFolderIsNoLine) {
  LogMerge merge(dir_ / "absent", std::nullopt);
  EXPECT_THAT(all(merge), ElementsAre());
}

}  // namespace
}  // namespace plumbline
