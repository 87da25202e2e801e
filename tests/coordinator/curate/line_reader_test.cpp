#include "coordinator/curate/line_reader.hpp"

#include <gmock/gmock.h>
#include <zlib.h>

#include "tests/coordinator/curate/curate_fixtures.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<std::vector<std::string>> all_lines(LineReader lines) {
  std::vector<std::string> all;
  while (true) {
    PLUMBLINE_ASSIGN(const auto line, lines.next());
    if (!line) return all;
    all.emplace_back(*line);
    EXPECT_EQ(lines.line(), static_cast<std::int64_t>(all.size()));
  }
}

std::filesystem::path write_gzip(const ScratchFolder& folder, const std::string& name, const std::string& text) {
  const auto path = folder / name;
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  return path;
}

TEST(LineReader, GivesLinesWithoutTheirEnds) {
  EXPECT_THAT(*all_lines(LineReader::over("a\nb\r\n\nc", "f")), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(*all_lines(LineReader::over("a\n", "f")), ElementsAre("a"));
  EXPECT_THAT(*all_lines(LineReader::over("\n", "f")), ElementsAre(""));
  EXPECT_THAT(*all_lines(LineReader::over("", "f")), ElementsAre());
}

TEST(LineReader, DropsAByteOrderMarkAtTheStartOnly) {
  EXPECT_THAT(*all_lines(LineReader::over("\xEF\xBB\xBF"
                                          "a\n\xEF\xBB\xBF"
                                          "b",
                                          "f")),
              ElementsAre("a",
                          "\xEF\xBB\xBF"
                          "b"));
}

TEST(LineReader, ReadsPlainAndGzippedFilesAlike) {
  const ScratchFolder folder;
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "line " + std::to_string(i) + "\n";
  const auto plain = all_lines(*LineReader::open(folder.write("plain", text)));
  const auto zipped = all_lines(*LineReader::open(write_gzip(folder, "zipped.gz", text)));
  ASSERT_TRUE(plain.has_value() && zipped.has_value());
  EXPECT_EQ(plain->size(), 200'000u);
  EXPECT_EQ(*plain, *zipped);
}

TEST(LineReader, NamesFileAndLineOfBadUtf8) {
  const auto lines =
      all_lines(LineReader::over("good\nb\xFF"
                                 "d\n",
                                 "polite.jsonl"));
  ASSERT_FALSE(lines.has_value());
  EXPECT_EQ(lines.error().code, ErrorCode::kData);
  EXPECT_EQ(lines.error().where, "polite.jsonl:2");
  EXPECT_THAT(lines.error().message, HasSubstr("byte 2 of the line is not valid UTF-8"));
}

TEST(LineReader, RefusesALineWithoutEnd) {
  const std::string text = "short\n" + std::string(kMaxLineBytes + 1, 'x');
  EXPECT_EQ(all_lines(LineReader::over(text, "f")).error().where, "f:2");
  const ScratchFolder folder;
  const auto bomb = write_gzip(folder, "bomb.gz", std::string(64u << 20, 'x'));
  EXPECT_THAT(all_lines(*LineReader::open(bomb)).error().message, HasSubstr("longer than"));
}

TEST(LineReader, SaysWhenACompressedFileIsCutShortOrDamaged) {
  const ScratchFolder folder;
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += std::to_string(i * 7919) + "\n";
  const std::string whole = file_text(write_gzip(folder, "whole.gz", text));
  EXPECT_THAT(all_lines(*LineReader::open(folder.write("cut.gz", whole.substr(0, whole.size() / 2)))).error().message,
              HasSubstr("cut short"));
  std::string damaged = whole;
  for (std::size_t i = damaged.size() / 2; i < damaged.size() / 2 + 64; ++i) damaged[i] = '\x55';
  EXPECT_THAT(all_lines(*LineReader::open(folder.write("damaged.gz", damaged))).error().message, HasSubstr("damaged"));
}

TEST(LineReader, NamesAFileThatIsNotThere) {
  const auto reader = LineReader::open("/nowhere/at/all.jsonl");
  ASSERT_FALSE(reader.has_value());
  EXPECT_EQ(reader.error().code, ErrorCode::kData);
  EXPECT_EQ(reader.error().where, "/nowhere/at/all.jsonl");
}

}  // namespace
}  // namespace plumbline
