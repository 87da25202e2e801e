// Aligned plain text for a terminal. Widths are counted in code points; what could steer a terminal is replaced, since
// cells may hold anything that a data file holds.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plumbline {

/// A line feed becomes "↵", a tab a space, any other control character "·".
std::string printable(std::string_view text);
/// printable() for each line of a text of several: what files hold is shown, and never obeyed by a terminal.
std::string printable_lines(std::string_view text);
/// printable(), cut to at most `width` code points, the last of them "…" when something was cut.
std::string shorten(std::string_view text, std::size_t width);

std::string format_count(std::uint64_t count);  ///< "12,345"
std::string format_number(double number);       ///< four significant digits
std::string format_bytes(std::uint64_t bytes);  ///< "1.5 MB"

/// A heading line and rows, every column as wide as its widest cell; columns of numbers are right-aligned.
class Table {
 public:
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}
  /// As many cells as headings.
  void add(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  /// Each line after two spaces and with a line feed at its end.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
};

/// "  key    value" lines; values stand in one column.
std::string format_fields(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace plumbline
