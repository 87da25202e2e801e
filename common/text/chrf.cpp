// chrF2 (Popović 2015): the F-score, recall weighing beta = 2 times as much as precision, of character n-grams.
//   P = mean over n of matched / hypothesis n-grams,  R = mean over n of matched / reference n-grams,
//   chrF = (1 + beta^2) P R / (beta^2 P + R).
// Over the n in 1..6 of which both sides have at least one n-gram (the "effective order"), as sacreBLEU does by
// default.
#include <algorithm>
#include <unordered_map>

#include "common/core/utf8.hpp"
#include "common/text/norm.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kCharacterOrder = 6;
constexpr double kBeta = 2;

/// White_Space of Unicode and the four separators U+001C…U+001F, which Python's str.split (so sacreBLEU) removes too.
bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::u32string characters(std::string_view text) {
  std::u32string points = code_points(text);
  std::erase_if(points, is_white_space);
  return points;
}

using Counts = std::unordered_map<std::u32string_view, std::size_t>;

Counts count_ngrams(std::u32string_view text, std::size_t n) {
  Counts counts;
  counts.reserve(text.size());
  for (std::size_t i = 0; i + n <= text.size(); ++i) ++counts[text.substr(i, n)];
  return counts;
}

}  // namespace

double chrf(std::string_view hypothesis, std::string_view reference) {
  const std::u32string ours = characters(hypothesis), theirs = characters(reference);
  double precision = 0, recall = 0, orders = 0;
  for (std::size_t n = 1; n <= std::min({kCharacterOrder, ours.size(), theirs.size()}); ++n) {
    const Counts a = count_ngrams(ours, n), b = count_ngrams(theirs, n);
    std::size_t matched = 0;
    for (const auto& [ngram, count] : a)
      if (const auto found = b.find(ngram); found != b.end()) matched += std::min(count, found->second);
    precision += static_cast<double>(matched) / static_cast<double>(ours.size() - n + 1);
    recall += static_cast<double>(matched) / static_cast<double>(theirs.size() - n + 1);
    ++orders;
  }
  if (precision + recall == 0) return 0;
  precision /= orders, recall /= orders;
  return (1 + kBeta * kBeta) * precision * recall / (kBeta * kBeta * precision + recall);
}

}  // namespace plumbline
