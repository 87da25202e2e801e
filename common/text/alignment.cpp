#include "common/text/alignment.hpp"

#include <algorithm>
#include <set>

#include "common/core/check.hpp"

namespace plumbline {

namespace {

constexpr char kGap = '-';
constexpr char kSeparator = '|';

class Concat final : public SourceEncoding {
 public:
  [[nodiscard]] std::string encode(const Rows& unaligned) const override {
    std::string text;
    for (std::size_t i = 0; i < unaligned.size(); ++i) {
      if (i > 0) text += kSeparator;
      text += unaligned[i];
    }
    return text;
  }
  [[nodiscard]] Rows decode(std::string_view source) const override {
    Rows rows;
    for (std::size_t begin = 0; begin <= source.size();) {
      const std::size_t end = std::min(source.find(kSeparator, begin), source.size());
      rows.emplace_back(source.substr(begin, end - begin));
      begin = end + 1;
    }
    return rows;
  }
};

class Spaces final : public TargetEncoding {
 public:
  [[nodiscard]] std::string encode(const Rows& aligned) const override {
    std::string text;
    const std::size_t columns = aligned.empty() ? 0 : aligned[0].size();
    for (const std::string& row : aligned)
      PLUMBLINE_CHECK(row.size() == columns, "rows of an alignment differ in length");
    text.reserve(columns * aligned.size());
    for (std::size_t column = 0; column < columns; ++column)
      for (const std::string& row : aligned) text += row[column];
    return text;
  }
  [[nodiscard]] std::optional<Rows> decode(std::string_view text, std::size_t num_rows) const override {
    if (num_rows == 0 || text.size() % num_rows != 0) return std::nullopt;
    Rows rows(num_rows);
    for (std::string& row : rows) row.reserve(text.size() / num_rows);
    for (std::size_t i = 0; i < text.size(); ++i) rows[i % num_rows] += text[i];
    return rows;
  }
};

/// A column as the index of each row's residue, or kNone where the row has a gap.
using Column = std::vector<std::ptrdiff_t>;
constexpr std::ptrdiff_t kNone = -1;

/// The columns that hold a residue, in order. Rows are of equal length.
std::vector<Column> columns_of(const Rows& aligned) {
  std::vector<Column> columns;
  if (aligned.empty()) return columns;
  std::vector<std::ptrdiff_t> next(aligned.size(), 0);
  for (std::size_t c = 0; c < aligned[0].size(); ++c) {
    Column column(aligned.size(), kNone);
    bool has_residue = false;
    for (std::size_t r = 0; r < aligned.size(); ++r)
      if (aligned[r][c] != kGap) column[r] = next[r]++, has_residue = true;
    if (has_residue) columns.push_back(std::move(column));
  }
  return columns;
}

bool is_rectangular(const Rows& rows) {
  return std::all_of(rows.begin(), rows.end(), [&](const std::string& row) { return row.size() == rows[0].size(); });
}

}  // namespace

Result<std::unique_ptr<SourceEncoding>> make_source_encoding(const std::string& name) {
  if (name == "concat") return std::make_unique<Concat>();
  return data_error("the source encoding \"" + name + "\" is not known", "", "Known: concat.");
}

Result<std::unique_ptr<TargetEncoding>> make_target_encoding(const std::string& name) {
  if (name == "spaces") return std::make_unique<Spaces>();
  return data_error("the target encoding \"" + name + "\" is not known", "", "Known: spaces.");
}

Rows ungapped(const Rows& aligned) {
  Rows rows = aligned;
  for (std::string& row : rows) std::erase(row, kGap);
  return rows;
}

Rows left_justified(const Rows& unaligned) {
  Rows rows = unaligned;
  std::size_t longest = 0;
  for (const std::string& row : rows) longest = std::max(longest, row.size());
  for (std::string& row : rows) row.resize(longest, kGap);
  return rows;
}

std::optional<std::size_t> staggered_gaps(const Rows& aligned) {
  const std::size_t columns = aligned.empty() ? 0 : aligned.front().size();
  for (std::size_t c = 0; c + 1 < columns; ++c) {
    bool gap_closes = false, gap_opens = false;
    for (const std::string& row : aligned) {
      gap_closes |= row[c] == '-' && row[c + 1] != '-';
      gap_opens |= row[c] != '-' && row[c + 1] == '-';
    }
    if (gap_closes && gap_opens) return c;
  }
  return std::nullopt;
}

double column_score(const Rows& candidate, const Rows& truth) {
  if (!is_rectangular(candidate) || !is_rectangular(truth) || ungapped(candidate) != ungapped(truth)) return 0;
  const std::vector<Column> found = columns_of(candidate), wanted = columns_of(truth);
  if (wanted.empty()) return 1;  // no residue at all, in either
  const std::set<Column> among(found.begin(), found.end());
  const auto matched = std::count_if(wanted.begin(), wanted.end(), [&](const Column& c) { return among.contains(c); });
  return static_cast<double>(matched) / static_cast<double>(wanted.size());
}

}  // namespace plumbline
