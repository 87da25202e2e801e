#include "coordinator/curate/histogram.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace plumbline {

namespace {

constexpr int kMostBins = 12;
constexpr std::int64_t kBarWidth = 40;

/// The smallest of 1, 2, 5, 10, 20, 50, … that covers `range` numbers with kMostBins bins, wherever they start.
std::int64_t round_width(std::int64_t first, std::int64_t last) {
  for (std::int64_t power = 1;; power *= 10)
    for (const std::int64_t step : {1, 2, 5})
      if (last / (power * step) - first / (power * step) < kMostBins) return power * step;
}

std::string repeated(const char* text, std::int64_t times) {
  std::string out;
  for (std::int64_t i = 0; i < times; ++i) out += text;
  return out;
}

/// A bar in eighths of a character; what is there at all shows at least one eighth.
std::string bar(std::int64_t count, std::int64_t highest) {
  static const char* const kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  std::int64_t eighths = 8 * kBarWidth * count / highest;
  if (count > 0) eighths = std::max<std::int64_t>(eighths, 1);
  return repeated("█", eighths / 8) + kEighths[eighths % 8];
}

}  // namespace

std::string text_histogram(const std::vector<std::int32_t>& lengths) {
  if (lengths.empty()) return {};
  const auto [shortest, longest] = std::minmax_element(lengths.begin(), lengths.end());
  const std::int64_t width = round_width(*shortest, *longest), first = *shortest / width, last = *longest / width;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(last - first + 1), 0);
  for (const std::int32_t length : lengths) ++counts[static_cast<std::size_t>(length / width - first)];
  const std::int64_t highest = *std::max_element(counts.begin(), counts.end());
  const std::size_t digits = std::to_string((last + 1) * width - 1).size();
  std::string text;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::int64_t low = (first + static_cast<std::int64_t>(i)) * width;
    const std::string range = width == 1 ? fmt::format("{:>{}}", low, digits)
                                         : fmt::format("{:>{}} – {:>{}}", low, digits, low + width - 1, digits);
    text += fmt::format("{}  {}{}{}\n", range, bar(counts[i], highest), counts[i] > 0 ? " " : "", counts[i]);
  }
  return text;
}

std::string length_summary(std::vector<std::int32_t> lengths) {
  if (lengths.empty()) return "none";
  std::sort(lengths.begin(), lengths.end());
  const auto at = [&](std::size_t percent) { return lengths[(lengths.size() - 1) * percent / 100]; };
  return fmt::format("median {}, 95% at most {}, longest {}", at(50), at(95), lengths.back());
}

}  // namespace plumbline
