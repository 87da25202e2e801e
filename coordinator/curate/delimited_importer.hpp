// Tab- and comma-separated values with a header. Every pairing of a non-empty desired cell with a non-empty undesired
// cell of a row is one example; cells of one side alone are demonstrations or prohibitions. A row with another number
// of cells than the header is left out and counted: one damaged row does not spoil a file.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "coordinator/curate/importer.hpp"

namespace plumbline {

class DelimitedImporter final : public Importer {
 public:
  explicit DelimitedImporter(DelimitedFormat format) : format_(std::move(format)) {}
  Status read(LineReader& lines, ImportSink& sink) const override;

 private:
  DelimitedFormat format_;
};

/// One record: the cells of a line, or of several when a quoted cell holds line breaks (RFC 4180).
struct Record {
  std::int64_t line = 0;  ///< where it starts
  std::vector<std::string> cells;
  bool broken_quotes = false;  ///< Quotes::kLine: a quoted cell does not end on its line
};
/// The next record that is not blank; nothing at the end of the file.
Result<std::optional<Record>> next_record(LineReader& lines, char delimiter, Quotes quotes);

}  // namespace plumbline
