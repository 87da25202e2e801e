#include "coordinator/curate/delimited_importer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "common/data/example.hpp"
#include "coordinator/curate/jsonl_importer.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kMaxCells = 10'000;

/// Splits one record as its lines arrive. A cell is quoted when it starts with a quote; within it "" is one quote.
class RecordSplitter {
 public:
  RecordSplitter(char delimiter, Quotes quotes) : delimiter_(delimiter), quotes_(quotes) {}

  /// Takes a line; returns whether a quoted cell is still open at its end.
  bool take(std::string_view line) {
    if (in_quotes_) cell_ += '\n';
    for (std::size_t i = 0; i < line.size(); ++i) {
      const char c = line[i];
      if (in_quotes_) {
        if (c != '"') {
          cell_ += c;
        } else if (i + 1 < line.size() && line[i + 1] == '"') {
          cell_ += '"', ++i;
        } else {
          in_quotes_ = false, after_quotes_ = true;
        }
      } else if (c == delimiter_) {
        end_cell();
      } else if (c == '"' && quotes_ != Quotes::kNone && cell_.empty() && !after_quotes_) {
        in_quotes_ = true;
      } else {
        text_after_quotes_ |= after_quotes_;
        cell_ += c;
      }
    }
    if (!in_quotes_) end_cell();
    return in_quotes_;
  }
  /// A closing quote was followed by text other than the delimiter.
  [[nodiscard]] bool text_after_quotes() const { return text_after_quotes_; }
  [[nodiscard]] std::vector<std::string>& cells() { return cells_; }
  [[nodiscard]] std::size_t open_bytes() const { return cell_.size(); }

 private:
  void end_cell() {
    cells_.push_back(std::exchange(cell_, {}));
    after_quotes_ = false;
  }

  char delimiter_;
  Quotes quotes_;
  std::vector<std::string> cells_;
  std::string cell_;
  bool in_quotes_ = false, after_quotes_ = false, text_after_quotes_ = false;
};

/// Where each thing that the recipe asks for stands in a row.
struct Columns {
  std::size_t count = 0, source = 0;
  std::vector<std::size_t> desired, undesired;
  std::optional<std::size_t> weight, group;
  std::vector<std::pair<std::string, std::size_t>> attributes;
};

class ColumnFinder {
 public:
  ColumnFinder(const std::vector<std::string>& header, std::string where) : header_(header), where_(std::move(where)) {}

  Result<std::size_t> find(const std::string& name) const {
    const auto found = std::find(header_.begin(), header_.end(), name);
    if (found != header_.end()) {
      if (std::find(found + 1, header_.end(), name) != header_.end())
        return data_error(fmt::format("the file has several columns \"{}\"", name), where_, "Give each its own name.");
      return static_cast<std::size_t>(found - header_.begin());
    }
    std::string known;
    for (const std::string& column : header_) {
      if (known.size() > 200) break;
      known += (known.empty() ? "" : ", ") + column;
    }
    return data_error(fmt::format("the file has no column \"{}\"", name), where_,
                      fmt::format("Its columns: {}.", known));
  }
  Status find_all(const std::vector<std::string>& names, std::vector<std::size_t>& places) const {
    for (const std::string& name : names) {
      PLUMBLINE_ASSIGN(const std::size_t place, find(name));
      places.push_back(place);
    }
    return {};
  }

 private:
  const std::vector<std::string>& header_;
  std::string where_;
};

Result<Columns> find_columns(const DelimitedFormat& format, const std::vector<std::string>& header,
                             const std::string& where) {
  const ColumnFinder finder(header, where);
  Columns columns;
  columns.count = header.size();
  PLUMBLINE_ASSIGN(columns.source, finder.find(format.source));
  PLUMBLINE_TRY(finder.find_all(format.desired, columns.desired));
  PLUMBLINE_TRY(finder.find_all(format.undesired, columns.undesired));
  if (!format.weight.empty()) {
    PLUMBLINE_ASSIGN(columns.weight, finder.find(format.weight));
  }
  if (!format.group.empty()) {
    PLUMBLINE_ASSIGN(columns.group, finder.find(format.group));
  }
  for (const std::string& name : format.attributes) {
    if (!plain_attribute_name(name))
      return data_error(
          "the column \"" + name + "\" cannot be an attribute: its name must be 1 to 200 bytes without a slash", where);
    PLUMBLINE_ASSIGN(const std::size_t place, finder.find(name));
    columns.attributes.emplace_back(name, place);
  }
  return columns;
}

Result<double> parse_cell(const std::string& cell, const std::string& where) {
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value))
    return data_error(fmt::format("\"{}\" is not a number", cell.substr(0, 40)), where);
  return value;
}

std::vector<const std::string*> non_empty(const Record& record, const std::vector<std::size_t>& places) {
  std::vector<const std::string*> cells;
  for (const std::size_t place : places)
    if (record.cells[place].find_first_not_of(" \t\r\n") != std::string::npos) cells.push_back(&record.cells[place]);
  return cells;
}

/// What all examples of a row share.
Result<Imported> shared_part(const Record& record, const Columns& columns, const std::string& where) {
  Imported example;
  example.line = record.line;
  example.source = record.cells[columns.source];
  if (columns.weight && !record.cells[*columns.weight].empty()) {
    PLUMBLINE_ASSIGN(const double weight, parse_cell(record.cells[*columns.weight], where));
    PLUMBLINE_ASSIGN(example.weight, check_weight(weight, where));
  }
  if (columns.group) example.group = record.cells[*columns.group];
  for (const auto& [name, place] : columns.attributes) {
    if (record.cells[place].empty()) continue;
    PLUMBLINE_ASSIGN(const double value, parse_cell(record.cells[place], where));
    example.attributes[name] = static_cast<float>(value);
  }
  return example;
}

Status emit(const Record& record, const Columns& columns, const Imported& shared, ImportSink& sink) {
  const auto desired = non_empty(record, columns.desired), undesired = non_empty(record, columns.undesired);
  if (desired.empty() && undesired.empty()) {
    sink.leave_out(Reason::kEmptyOutput, record.line);
    return {};
  }
  // An absent side still makes one pass of its loop.
  for (std::size_t d = 0; d < std::max<std::size_t>(desired.size(), 1); ++d)
    for (std::size_t u = 0; u < std::max<std::size_t>(undesired.size(), 1); ++u) {
      Imported example = shared;
      if (!desired.empty()) example.desired = *desired[d];
      if (!undesired.empty()) example.undesired = *undesired[u];
      PLUMBLINE_TRY(sink.take(std::move(example)));
    }
  return {};
}

}  // namespace

Result<std::optional<Record>> next_record(LineReader& lines, char delimiter, Quotes quotes) {
  RecordSplitter splitter(delimiter, quotes);
  Record record;
  while (true) {
    PLUMBLINE_ASSIGN(const auto line, lines.next());
    if (!line && record.line == 0) return std::optional<Record>();
    if (!line)
      return data_error("a quote that opens in this record is never closed", lines.where(record.line),
                        "With quotes: line in the recipe, only such rows are left out; with quotes: none, a quote is a "
                        "letter like any other.");
    if (record.line == 0) {
      if (line->empty()) continue;
      record.line = lines.line();
    }
    const bool open = splitter.take(*line);
    if (splitter.open_bytes() > kMaxLineBytes || splitter.cells().size() > kMaxCells)
      return data_error("the record is larger than any row ought to be", lines.where(record.line),
                        "A quote that is never closed? quotes: line in the recipe bounds it to its line.");
    record.broken_quotes = quotes == Quotes::kLine && (open || splitter.text_after_quotes());
    if (open && quotes == Quotes::kRfc4180) continue;
    record.cells = std::move(splitter.cells());
    return std::make_optional(std::move(record));
  }
}

Status DelimitedImporter::read(LineReader& lines, ImportSink& sink) const {
  std::vector<std::string> header = format_.header;
  if (header.empty()) {
    PLUMBLINE_ASSIGN(auto first, next_record(lines, format_.delimiter, format_.quotes));
    if (!first) return {};
    header = std::move(first->cells);
  }
  PLUMBLINE_ASSIGN(const Columns columns, find_columns(format_, header, lines.where()));
  while (true) {
    PLUMBLINE_ASSIGN(const auto record, next_record(lines, format_.delimiter, format_.quotes));
    if (!record) return {};
    if (record->broken_quotes) {
      sink.leave_out(Reason::kBrokenQuotes, record->line);
    } else if (record->cells.size() != columns.count) {
      sink.leave_out(Reason::kWrongColumns, record->line);
    } else {
      PLUMBLINE_ASSIGN(const Imported shared, shared_part(*record, columns, lines.where(record->line)));
      PLUMBLINE_TRY(emit(*record, columns, shared, sink));
    }
  }
}

}  // namespace plumbline
