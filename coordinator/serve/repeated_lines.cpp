#include "coordinator/serve/repeated_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace plumbline {

namespace {

std::string without_numbers(const std::string& line) {
  std::string kind;
  kind.reserve(line.size());
  for (const char c : line)
    if (c < '0' || c > '9')
      kind += c;
    else if (kind.empty() || kind.back() != '#')
      kind += '#';
  return kind;
}

/// 9984 as 9,984.
std::string grouped(std::size_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

}  // namespace

bool RepeatedLines::is_written(int level, const std::string& line, SteadyTime now) {
  if (kinds_.empty()) window_ = now;
  std::string kind = without_numbers(line);
  auto found = kinds_.find(kind);
  if (found == kinds_.end()) {
    if (kinds_.size() >= kMostKinds) return true;
    found = kinds_.emplace(std::move(kind), Kind{level, ++number_, 0, 0, {}}).first;
  }
  Kind& of = found->second;
  if (of.written < kWritten) return ++of.written, true;
  ++of.left_out;
  of.last = line;
  return false;
}

std::vector<RepeatedLines::Summary> RepeatedLines::due(SteadyTime now) {
  if (kinds_.empty() || now - window_ < kWindow) return {};
  window_ = now;
  return all();
}

std::vector<RepeatedLines::Summary> RepeatedLines::all() {
  std::vector<const Kind*> repeated;
  for (const auto& [text, kind] : kinds_)
    if (kind.left_out > 0) repeated.push_back(&kind);
  std::sort(repeated.begin(), repeated.end(), [](const Kind* a, const Kind* b) { return a->number < b->number; });
  std::vector<Summary> summaries;
  for (const Kind* kind : repeated)
    summaries.push_back(
        {kind->level, fmt::format("… and {} more like this, the last one: {}", grouped(kind->left_out), kind->last)});
  std::erase_if(kinds_, [](const auto& kind) { return kind.second.left_out == 0; });
  for (auto& [text, kind] : kinds_) kind.left_out = 0;  // Goes on in this window: counted from its first line on.
  return summaries;
}

}  // namespace plumbline
