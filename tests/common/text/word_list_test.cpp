#include "common/text/word_list.hpp"

#include <gtest/gtest.h>

namespace plumbline {
namespace {

std::string found(const std::vector<std::string>& words, std::string_view text) {
  return WordList(words).first_in(text).value_or("");
}

TEST(WordList, FindsWholeWordsWhateverTheAsciiCase) {
  EXPECT_EQ(found({"fool"}, "You FOOL!"), "fool");
  EXPECT_EQ(found({"Fool"}, "fool"), "fool");
  EXPECT_EQ(found({"fool"}, "foolish"), "");
  EXPECT_EQ(found({"fool"}, "tomfool"), "");
  EXPECT_EQ(found({"fool"}, "fool_2 fool2 2fool"), "");
  EXPECT_EQ(found({"fool"}, "fool's, (fool)"), "fool");
  EXPECT_EQ(found({"b", "a"}, "a b"), "a") << "the first in the text";
  EXPECT_EQ(found({}, "fool"), "");
  EXPECT_EQ(found({"fool"}, ""), "");
}

TEST(WordList, ALetterOfAnyScriptGoesOn) {
  EXPECT_EQ(found({"con"}, "coné"), "");
  EXPECT_EQ(found({"con"}, "ñcon"), "");
  EXPECT_EQ(found({"con"}, "con\xCC\x81"), "") << "a combining accent";
  EXPECT_EQ(found({"кот"}, "котик"), "");
  EXPECT_EQ(found({"кот"}, "это кот."), "кот");
  EXPECT_EQ(found({"a"}, "aªbºc a"), "a");
}

TEST(WordList, PunctuationOfAnyScriptEndsAWord) {
  for (const char* text : {"“con”", "con…", "—con—", "«con»", "¿con?", "con\u00A0y", "、con。", "👍con👍", "con™"})
    EXPECT_EQ(found({"con"}, text), "con") << text;
}

TEST(WordList, PhrasesStandAloneToo) {
  EXPECT_EQ(found({"shut up"}, "Oh, Shut Up."), "shut up");
  EXPECT_EQ(found({"shut up"}, "shut upstairs, to shut up"), "shut up");
  EXPECT_EQ(found({"shut up"}, "shut upé"), "");
  EXPECT_EQ(found({"a**"}, "a**hole"), "a**") << "no word character, so nothing that could go on";
  EXPECT_EQ(found({"a**"}, "ba**"), "");
  EXPECT_EQ(found({"don't"}, "DON'T!"), "don't");
}

TEST(WordList, BrokenUtf8EndsAWord) {
  EXPECT_EQ(found({"con"}, "con\xFF"), "con");
  EXPECT_EQ(found({"con x"}, "\x80 con x\xC3"), "con x");
}

}  // namespace
}  // namespace plumbline
