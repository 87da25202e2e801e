// Finds whole words in a text, ASCII case ignored. A word ends where a letter, digit, underscore or combining mark of
// any script does not go on: "ass" is not in "assess" nor in "assé", but in "“ass”". (RE2's \b knows ASCII only.)
// Immutable, so any thread may use it.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace plumbline {

class WordList {
 public:
  explicit WordList(const std::vector<std::string>& words);
  /// The listed word or phrase that stands in `text`, in lower case; the first single word goes before a phrase.
  [[nodiscard]] std::optional<std::string> first_in(std::string_view text) const;

 private:
  std::unordered_set<std::string> words_;  ///< of word characters only: looked up
  std::vector<std::string> phrases_;       ///< "shut up", "@#!": searched for
};

/// Letters, digits, marks and the underscore; of what is not ASCII, all but the blocks of punctuation, symbols and
/// spaces.
bool is_word_character(char32_t c);
/// ASCII letters in lower case, everything else as it is.
std::string ascii_lower(std::string_view text);

}  // namespace plumbline
