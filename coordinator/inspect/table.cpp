#include "coordinator/inspect/table.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "common/core/check.hpp"

namespace plumbline {

namespace {

constexpr const char* kIndent = "  ";
constexpr std::size_t kGap = 2;  // spaces between columns

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

/// "12,345", "-0.5", "1.5 MB", "3e-05" and "" (no number known) do; "dpo" and "0f3a…" do not.
bool numeric(std::string_view cell) {
  return cell.find_first_not_of("0123456789.,-+e kMGTB%") == std::string_view::npos;
}

std::string padding(std::size_t columns) { return std::string(columns, ' '); }

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1) ++i;  // U+0080 to U+009F: controls in two bytes
    if (byte == '\n')
      out += "↵";
    else if (byte == '\t')
      out += ' ';
    else if (byte < 0x20 || byte == 0x7f || c1)
      out += "·";
    else
      out += text[i];
  }
  return out;
}

std::string printable_lines(std::string_view text) {
  std::string out;
  for (std::size_t begin = 0;;) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    out += printable(text.substr(begin, end - begin));
    if (end == text.size()) return out;
    out += '\n';
    begin = end + 1;
  }
}

std::string shorten(std::string_view text, std::size_t width) {
  std::string clean = printable(text);
  if (width_of(clean) <= width) return clean;
  std::size_t seen = 0, end = 0;
  while (end < clean.size() && (continues(clean[end]) || seen < width - 1)) seen += continues(clean[end++]) ? 0 : 1;
  return clean.substr(0, end) + "…";
}

std::string format_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string format_number(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", number);
  return text;
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
  if (bytes < 1000) return std::to_string(bytes) + " B";
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 999.95 && unit + 1 < kUnits.size(); ++unit) size /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", size, kUnits[unit]);
  return text;
}

void Table::add(std::vector<std::string> cells) {
  PLUMBLINE_CHECK(cells.size() == headings_.size(), "a row has a cell for every heading");
  for (auto& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  std::vector<bool> right;
  for (std::size_t c = 0; c < headings_.size(); ++c) {
    widths.push_back(width_of(headings_[c]));
    right.push_back(!rows_.empty());
    for (const auto& row : rows_) {
      widths[c] = std::max(widths[c], width_of(row[c]));
      right[c] = right[c] && numeric(row[c]);
    }
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text(kIndent);
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string fill = padding(widths[c] - width_of(cells[c]));
      if (c > 0) text += padding(kGap);
      text += right[c] ? fill + cells[c] : cells[c] + fill;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out.append(text).push_back('\n');
  };
  line(headings_);
  for (const auto& row : rows_) line(row);
  return out;
}

std::string format_fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::size_t width = 0;
  for (const auto& [key, value] : fields) width = std::max(width, width_of(key));
  std::string out;
  for (const auto& [key, value] : fields)
    out += kIndent + key + padding(width - width_of(key) + kGap) + printable(value) + "\n";
  return out;
}

}  // namespace plumbline
