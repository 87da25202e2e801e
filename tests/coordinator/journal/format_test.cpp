#include <gmock/gmock.h>
#include <xxhash.h>

#include <cinttypes>
#include <cstdio>

#include "coordinator/journal/journal.hpp"

namespace plumbline {
namespace {

using ::testing::HasSubstr;

JournalEntry entry(std::int64_t seq, const std::string& event = "evaluated", Json data = Json::object()) {
  return {seq, "2026-11-24T10:24:13.123456Z", event, std::move(data)};
}

std::string three_lines() {
  return journal_line(entry(1, "run_created")) + journal_line(entry(2)) +
         journal_line(entry(3, "run_stopped", {{"step", 8}}));
}

TEST(JournalFormat, LineIsAsDocumented) {
  const std::string body =
      R"({"seq":7,"time":"2026-11-24T10:24:13.123456Z","event":"checkpoint_committed","data":{"step":100}})";
  char crc[17];
  std::snprintf(crc, sizeof crc, "%016" PRIx64, static_cast<std::uint64_t>(XXH3_64bits(body.data(), body.size())));
  EXPECT_EQ(journal_line(entry(7, "checkpoint_committed", {{"step", 100}})),
            body.substr(0, body.size() - 1) + ",\"crc\":\"" + crc + "\"}\n");
}

TEST(JournalFormat, ReadsWhatItWrites) {
  const Json data = {
      {"step", 9007199254740993}, {"loss", 0.1}, {"text", "\"crc\":\"\n\\ é"}, {"nested", {{"a", {1, 2.5, nullptr}}}}};
  const auto journal = parse_journal(journal_line(entry(1, "evaluated", data)), "j");
  ASSERT_TRUE(journal.has_value());
  ASSERT_EQ(journal->entries.size(), 1U);
  EXPECT_EQ(journal->entries[0].data, data);
  EXPECT_EQ(journal->entries[0].event, "evaluated");
  EXPECT_EQ(journal->entries[0].time, "2026-11-24T10:24:13.123456Z");
}

TEST(JournalFormat, BytesThatAreNoUtf8AreReplaced) {
  const auto journal = parse_journal(journal_line(entry(1, "run_failed", {{"message", "a\xff"}})), "j");
  ASSERT_TRUE(journal.has_value());
  EXPECT_EQ(journal->entries.at(0).data.at("message"), "a\xEF\xBF\xBD");
}

TEST(JournalFormat, EmptyTextIsAnEmptyJournal) {
  const auto journal = parse_journal("", "j");
  ASSERT_TRUE(journal.has_value());
  EXPECT_TRUE(journal->entries.empty());
}

TEST(JournalFormat, EveryCutOfTheLastLineIsPassedOver) {
  const std::string text = three_lines();
  const std::size_t two = text.rfind('\n', text.size() - 2) + 1;
  for (std::size_t length = two; length < text.size(); ++length) {
    const auto journal = parse_journal(text.substr(0, length), "j");
    ASSERT_TRUE(journal.has_value()) << length;
    EXPECT_EQ(journal->entries.size(), 2U) << length;
    EXPECT_EQ(journal->whole_bytes, two) << length;
  }
}

TEST(JournalFormat, ALastLineWithLostBlocksIsPassedOver) {
  std::string text = three_lines();
  text.replace(text.size() - 60, 40, 40, '\0');
  const auto journal = parse_journal(text, "j");
  ASSERT_TRUE(journal.has_value());
  EXPECT_EQ(journal->entries.size(), 2U);
}

TEST(JournalFormat, EveryFlippedBitBeforeTheLastLineIsFound) {
  const std::string text = three_lines();
  const std::size_t two = text.rfind('\n', text.size() - 2) + 1;
  // Not the feed between the last two lines: without it they are one last line that is not whole.
  for (std::size_t at = 0; at + 1 < two; ++at) {
    std::string broken = text;
    broken[at] = static_cast<char>(broken[at] ^ 4);
    const auto journal = parse_journal(broken, "runs/a/journal.jsonl");
    ASSERT_TRUE(journal.has_error()) << at;
    EXPECT_EQ(journal.error().code, ErrorCode::kData);
    const bool first = at <= text.find('\n');
    EXPECT_EQ(journal.error().where, first ? "runs/a/journal.jsonl:1" : "runs/a/journal.jsonl:2");
  }
}

TEST(JournalFormat, AMissingOrRepeatedLineIsFoundAlsoAtTheEnd) {
  for (const std::int64_t seq : {1, 3}) {
    const auto journal = parse_journal(journal_line(entry(1)) + journal_line(entry(seq)), "j");
    ASSERT_TRUE(journal.has_error());
    EXPECT_EQ(journal.error().where, "j:2");
    EXPECT_THAT(journal.error().message, HasSubstr("line 2"));
  }
}

TEST(JournalFormat, AWholeLineOfAnotherShapeIsAnError) {
  JournalEntry list = entry(1);
  list.data = Json::array({1});
  EXPECT_TRUE(parse_journal(journal_line(list), "j").has_error());
}

TEST(JournalFormat, AnOverlongLineIsAnErrorWhereLinesFollow) {
  const std::string text =
      journal_line(entry(1, "e", {{"text", std::string(kMaxJournalLineBytes, 'x')}})) + journal_line(entry(2));
  const auto journal = parse_journal(text, "j");
  ASSERT_TRUE(journal.has_error());
  EXPECT_THAT(journal.error().message, HasSubstr("too long"));
}

}  // namespace
}  // namespace plumbline
