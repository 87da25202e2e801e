#include "coordinator/serve/repeated_lines.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace plumbline {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr SteadyTime kBegin{};
constexpr int kInfo = 2, kWarning = 3;

std::string lost(int rank) {
  return fmt::format("rank {} (pid {} on node-{}) is lost: the other end hung up", rank, 4711 + rank, rank / 8);
}

TEST(RepeatedLinesTest, ThousandsAreSaidInAFewLines) {
  RepeatedLines lines;
  std::vector<std::string> written;
  for (int rank = 0; rank < 10'000; ++rank)
    if (lines.is_written(kWarning, lost(rank), kBegin)) written.push_back(lost(rank));
  ASSERT_EQ(written.size(), RepeatedLines::kWritten);
  EXPECT_EQ(written.front(), lost(0)) << "the first names";
  EXPECT_THAT(lines.due(kBegin + 999ms), IsEmpty()) << "more may come";
  const auto summaries = lines.due(kBegin + 1s);
  ASSERT_EQ(summaries.size(), 1u);
  EXPECT_EQ(summaries[0].level, kWarning);
  EXPECT_EQ(summaries[0].line, "… and 9,984 more like this, the last one: " + lost(9'999));
  EXPECT_FALSE(lines.is_written(kWarning, lost(1), kBegin + 1500ms)) << "it goes on";
  EXPECT_EQ(lines.due(kBegin + 2s).size(), 1u);
  EXPECT_THAT(lines.due(kBegin + 3s), IsEmpty()) << "a window without any";
  EXPECT_TRUE(lines.is_written(kWarning, lost(1), kBegin + 4s));
}

TEST(RepeatedLinesTest, WhatIsOfAnotherKindIsWritten) {
  RepeatedLines lines;
  for (int rank = 0; rank < 100; ++rank) lines.is_written(kWarning, lost(rank), kBegin);
  EXPECT_TRUE(lines.is_written(kInfo, "the run stops at step 12", kBegin));
  for (int rank = 0; rank < 20; ++rank) lines.is_written(kInfo, fmt::format("rank {} has come, 3 of 7", rank), kBegin);
  const auto summaries = lines.all();
  ASSERT_EQ(summaries.size(), 2u) << "in the order of their first lines";
  EXPECT_THAT(summaries[0].line, HasSubstr("and 84 more like this"));
  EXPECT_EQ(summaries[1].level, kInfo);
  EXPECT_THAT(summaries[1].line, HasSubstr("and 4 more like this, the last one: rank 19 has come"));
  EXPECT_THAT(lines.all(), IsEmpty());
}

TEST(RepeatedLinesTest, FewAreAllWritten) {
  RepeatedLines lines;
  for (int second = 0; second < 100; ++second) {
    const SteadyTime now = kBegin + second * 1s;
    EXPECT_THAT(lines.due(now), IsEmpty());
    for (std::size_t i = 0; i < RepeatedLines::kWritten; ++i) EXPECT_TRUE(lines.is_written(kInfo, lost(second), now));
  }
}

TEST(RepeatedLinesTest, ManyKindsAreNotKept) {
  RepeatedLines lines;
  std::string kind;
  for (std::size_t i = 0; i < 2 * RepeatedLines::kMostKinds; ++i)
    EXPECT_TRUE(lines.is_written(kInfo, kind += 'x', kBegin)) << "what is not counted is written";
  EXPECT_THAT(lines.all(), IsEmpty());
}

}  // namespace
}  // namespace plumbline
