#include "coordinator/inspect/table.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "coordinator/inspect/range.hpp"

namespace plumbline {
namespace {

TEST(TableTest, AlignsTextLeftAndNumbersRight) {
  Table table({"name", "examples", "size"});
  table.add({"héllo", "12,345", "1.5 MB"});
  table.add({"x", "7", "12 B"});
  EXPECT_EQ(table.text(),
            "  name   examples    size\n"
            "  héllo    12,345  1.5 MB\n"
            "  x             7    12 B\n");
}

TEST(TableTest, LeavesNoBlanksAtTheEndOfALine) {
  Table table({"a", "b"});
  table.add({"one", "text"});
  table.add({"two", ""});
  EXPECT_EQ(table.text(), "  a    b\n  one  text\n  two\n");
  EXPECT_FALSE(table.empty());
  EXPECT_TRUE(Table({"a"}).empty());
}

TEST(TableTest, FieldsStandInOneColumn) {
  EXPECT_EQ(format_fields({{"a", "1"}, {"longer", "2"}}), "  a       1\n  longer  2\n");
}

TEST(PrintableTest, NothingSteersTheTerminal) {
  EXPECT_EQ(printable("a\nb\tc"), "a↵b c");
  EXPECT_EQ(printable("\x1b[2J\r\x7f"), "·[2J··");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m é"),
            "·31m é")
      << "U+009B is the one-character form of ESC [";
  EXPECT_EQ(printable("\xc2"), "\xc2");
  Table table({"a"});
  table.add({"\x1b"});
  EXPECT_EQ(table.text(), "  a\n  ·\n");
}

TEST(ShortenTest, CountsCodePoints) {
  EXPECT_EQ(shorten("hello", 5), "hello");
  EXPECT_EQ(shorten("héllo!", 5), "héll…");
  EXPECT_EQ(shorten("ééé", 2), "é…");
  EXPECT_EQ(shorten("", 5), "");
}

TEST(PrintableTest, LinesStayAndControlCharactersDoNot) {
  EXPECT_EQ(printable_lines("a\nb"), "a\nb");
  EXPECT_EQ(printable_lines("a\x1b[31m\n\n\tb\r"), "a·[31m\n\n b·");
  EXPECT_EQ(printable_lines(""), "");
}

TEST(FormatTest, Numbers) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_number(0.123456), "0.1235");
  EXPECT_EQ(format_number(1), "1");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.0 kB");
  EXPECT_EQ(format_bytes(999'949), "999.9 kB");
  EXPECT_EQ(format_bytes(999'960), "1.0 MB");
  EXPECT_EQ(format_bytes(2'500'000'000'000'000), "2500.0 TB");
}

TEST(RangeTest, PassesOverWhatIsNotKnown) {
  Range range;
  EXPECT_EQ(range.to_json(), Json::parse(R"({"known":0})"));
  for (const double value : {-2.0, std::nan(""), 4.0}) range.add(value);
  EXPECT_EQ(range.to_json(), Json::parse(R"({"known":2,"min":-2.0,"mean":1.0,"max":4.0})"));
}

}  // namespace
}  // namespace plumbline
