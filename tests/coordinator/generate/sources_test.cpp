#include "coordinator/generate/sources.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SourceReader over(std::string_view text, LineForm form) { return {LineReader::over(text, "in"), form}; }

Result<std::vector<std::string>> all_of(SourceReader sources) {
  std::vector<std::string> all;
  while (true) {
    PLUMBLINE_ASSIGN(auto source, sources.next());
    if (!source) return all;
    all.push_back(std::move(*source));
  }
}

TEST(SourceReader, APlainLineIsASource) {
  EXPECT_THAT(*all_of(over("a\n\n{\"b\"}\r\nc", LineForm::kPlain)), ElementsAre("a", "", "{\"b\"}", "c"));
  EXPECT_THAT(*all_of(over("", LineForm::kPlain)), IsEmpty());
}

TEST(SourceReader, AJsonLineNamesItsSource) {
  EXPECT_THAT(*all_of(over("{\"source\": \"a\\nb\", \"id\": 7}\n\n{\"source\": \"\"}\n", LineForm::kJson)),
              ElementsAre("a\nb", ""));
}

TEST(SourceReader, AWrongLineIsNamed) {
  for (const auto& [text, fragment] : std::vector<std::pair<std::string, std::string>>{
           {"{\"source\": \"a\"}\n\n{\"sauce\": \"b\"}\n", "\"source\" is missing"},
           {"{\"source\": \"a\"}\n\n{\"source\": 3}\n", "must be a text"},
           {"{\"source\": \"a\"}\n\n[\"b\"]\n", "JSON object"},
           {"{\"source\": \"a\"}\n\n{\"source\": \"b\"\n", "JSON"},
           {"{\"source\": \"a\"}\n\n{\"source\": \"\xFF\"}\n", "UTF-8"}}) {
    const auto found = all_of(over(text, LineForm::kJson));
    ASSERT_TRUE(found.has_error()) << text;
    EXPECT_EQ(found.error().code, ErrorCode::kData);
    EXPECT_EQ(found.error().where, "in:3");
    EXPECT_THAT(found.error().message, HasSubstr(fragment));
  }
  EXPECT_THAT(all_of(over("{\"sauce\": \"b\"}\n", LineForm::kJson)).error().hint, HasSubstr("sauce"));
}

TEST(ReadWindow, EndsWithItsSourcesOrTheInput) {
  SourceReader sources = over("a\nb\nc\n", LineForm::kPlain);
  const auto first = read_window(sources, 0, 2), rest = read_window(sources, 2, 2), none = read_window(sources, 3, 2);
  EXPECT_THAT(first->window.sources, ElementsAre("a", "b"));
  EXPECT_THAT(first->where, ElementsAre("in:1", "in:2"));
  EXPECT_EQ(rest->window.first, 2);
  EXPECT_THAT(rest->window.sources, ElementsAre("c"));
  EXPECT_THAT(none->window.sources, IsEmpty());
}

TEST(ReadWindow, HoldsFewSourcesWhereTheyAreLong) {
  std::string text;
  for (int i = 0; i < 12; ++i) text += std::string(3u << 20, 'x') + "\n";
  SourceReader sources = over(text, LineForm::kPlain);
  EXPECT_EQ(read_window(sources, 0, 1000)->window.sources.size(), 6u) << "16 MiB, and what goes over";
  EXPECT_EQ(read_window(sources, 6, 1000)->window.sources.size(), 6u);
}

class Input : public ScratchTest {};

TEST_F(Input, IsAFileOrTheStandardInput) {
  const auto path = put("in.txt", "a\nb\n");
  EXPECT_THAT(*all_of(SourceReader::open(path.string(), LineForm::kPlain).value()), ElementsAre("a", "b"));
  const auto absent = SourceReader::open(file("absent").string(), LineForm::kPlain);
  ASSERT_TRUE(absent.has_error());
  EXPECT_EQ(absent.error().where, file("absent").string());

  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int before = ::dup(STDIN_FILENO);
  ::dup2(ends[0], STDIN_FILENO);
  auto sources = SourceReader::open("-", LineForm::kPlain).value();
  ASSERT_EQ(::write(ends[1], "c\n", 2), 2);
  EXPECT_EQ(sources.next().value(), "c") << "though the pipe is still open";
  ASSERT_EQ(::write(ends[1], "\xFF\n", 2), 2);
  const auto wrong = sources.next();
  ASSERT_TRUE(wrong.has_error());
  EXPECT_EQ(wrong.error().where, "standard input:2");
  ::close(ends[1]);
  EXPECT_FALSE(sources.next().value().has_value());
  ::dup2(before, STDIN_FILENO);
  ::close(before);
  ::close(ends[0]);
}

}  // namespace
}  // namespace plumbline
