#include "common/core/utf8.hpp"

#include <gtest/gtest.h>

namespace plumbline {
namespace {

TEST(Utf8, ReadsCodePointsOfEveryLength) {
  EXPECT_EQ(code_points("aé…😀"), (std::u32string{U'a', U'é', U'…', U'😀'}));
  EXPECT_TRUE(is_utf8(std::string_view("\0 aé…😀\xF4\x8F\xBF\xBF", 16)));
  EXPECT_TRUE(is_utf8(""));
}

TEST(Utf8, SaysWhereItBreaks) {
  EXPECT_EQ(first_invalid_utf8("ab\xFFz"), 2u);
  EXPECT_EQ(first_invalid_utf8("é\xC3"), 2u);
  for (const char* broken : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                             "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3", "\xE2\x80", "\xF0\x9F\x98"})
    EXPECT_FALSE(is_utf8(broken));
}

// The examples of Unicode's table "U+FFFD for …" (section 3.9): one replacement for each maximal subpart.
TEST(Utf8, ReplacesMaximalSubparts) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replace_invalid_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
  EXPECT_EQ(replace_invalid_utf8("fine …"), "fine …");
}

}  // namespace
}  // namespace plumbline
