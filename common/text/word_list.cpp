#include "common/text/word_list.hpp"

#include <algorithm>
#include <iterator>

#include "common/core/utf8.hpp"

namespace plumbline {

namespace {

struct Block {
  char32_t first, last;
};
/// Beyond ASCII, in order: what can stand beside a word without being part of it.
constexpr Block kNotInWords[] = {
    {0x80, 0xA9},      // controls, Latin-1 punctuation up to ©
    {0xAB, 0xB1},      // « ¬ ® ¯ ° ±
    {0xB4, 0xB4},      // ´
    {0xB6, 0xB8},      // ¶ · ¸
    {0xBB, 0xBB},      // »
    {0xBF, 0xBF},      // ¿
    {0xD7, 0xD7},      // ×
    {0xF7, 0xF7},      // ÷
    {0x2000, 0x200B},  // spaces
    {0x200E, 0x206F},  // general punctuation (the joiners U+200C and U+200D stay inside words)
    {0x20A0, 0x20CF},  // currency
    {0x2120, 0x2122},  // service mark, TEL, trade mark
    {0x2190, 0x2BFF},  // arrows, mathematical and other symbols, box drawing, dingbats
    {0x2E00, 0x2E7F},  // supplemental punctuation
    {0x3000, 0x3004},  // CJK space and punctuation
    {0x3008, 0x3020},  // CJK brackets
    {0x3030, 0x3030},  // wavy dash
    {0xE000, 0xF8FF},  // private use
    {0xFE10, 0xFE1F},  // vertical forms
    {0xFE30, 0xFE6F},  // compatibility and small forms
    {0xFF01, 0xFF0F},  // fullwidth punctuation
    {0xFF1A, 0xFF20},   {0xFF3B, 0xFF3E}, {0xFF40, 0xFF40},
    {0xFF5B, 0xFF65},   {0xFFE0, 0xFFFF},  // fullwidth signs, specials (U+FFFD)
    {0x1F000, 0x1FAFF},                    // emoji and pictographs
};

/// The code point that ends just before `at`; U+FFFD for broken bytes. `at` is not 0.
char32_t code_point_before(std::string_view text, std::size_t at) {
  std::size_t begin = at - 1;
  while (begin > 0 && at - begin < 4 && (static_cast<unsigned char>(text[begin]) & 0xC0u) == 0x80u) --begin;
  const Utf8Step step = next_code_point(text.substr(begin, at - begin));
  return step.bytes == at - begin ? step.code_point : U'\uFFFD';
}

bool begins_with_word_character(std::string_view text) {
  return !text.empty() && is_word_character(next_code_point(text).code_point);
}
bool ends_with_word_character(std::string_view text) {
  return !text.empty() && is_word_character(code_point_before(text, text.size()));
}

/// An edge of the phrase that is a word character must not go on in the text.
bool stands_alone(std::string_view text, std::size_t at, std::string_view phrase) {
  const std::string_view before = text.substr(0, at), after = text.substr(at + phrase.size());
  return !(begins_with_word_character(phrase) && ends_with_word_character(before)) &&
         !(ends_with_word_character(phrase) && begins_with_word_character(after));
}

bool is_one_word(std::string_view text) {
  const std::u32string points = code_points(text);
  return std::all_of(points.begin(), points.end(), is_word_character);
}

}  // namespace

bool is_word_character(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  const Block* block = std::upper_bound(std::begin(kNotInWords), std::end(kNotInWords), c,
                                        [](char32_t value, const Block& b) { return value < b.first; });
  return block == std::begin(kNotInWords) || c > std::prev(block)->last;
}

std::string ascii_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

WordList::WordList(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word.empty()) continue;
    if (is_one_word(word)) {
      words_.insert(ascii_lower(word));
    } else {
      phrases_.push_back(ascii_lower(word));
    }
  }
}

std::optional<std::string> WordList::first_in(std::string_view text) const {
  if (words_.empty() && phrases_.empty()) return std::nullopt;
  const std::string lower = ascii_lower(text);
  std::string word;
  for (std::string_view rest = lower; !words_.empty();) {
    const Utf8Step step = rest.empty() ? Utf8Step{U' ', 0, true} : next_code_point(rest);
    if (step.bytes > 0 && is_word_character(step.code_point)) {
      word += rest.substr(0, step.bytes);
    } else {
      if (words_.contains(word)) return word;
      word.clear();
    }
    if (rest.empty()) break;
    rest.remove_prefix(step.bytes);
  }
  for (const std::string& phrase : phrases_)
    for (std::size_t at = lower.find(phrase); at != std::string::npos; at = lower.find(phrase, at + 1))
      if (stands_alone(lower, at, phrase)) return phrase;
  return std::nullopt;
}

}  // namespace plumbline
