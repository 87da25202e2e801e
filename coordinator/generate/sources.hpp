// Sources, one a line, from a file (plain or gzipped) or the standard input (plain). Memory does not depend on how many
// there are. Errors are data errors that name file and line. Room-internal.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/generation.hpp"
#include "coordinator/curate/line_reader.hpp"

namespace plumbline {

enum class LineForm {
  kPlain,  ///< the line is the source; an empty line is an empty source
  kJson,   ///< an object with "source"; other keys, and lines without anything, are passed over
};

class SourceReader {
 public:
  SourceReader(LineReader lines, LineForm form) : lines_(std::move(lines)), form_(form) {}
  /// `input` is a path, or "-" for the standard input.
  static Result<SourceReader> open(const std::string& input, LineForm form);

  /// The next source; nothing at the end.
  Result<std::optional<std::string>> next();
  /// Where the source that next() gave last stands: "sources.txt:7".
  [[nodiscard]] std::string where() const { return lines_.where(); }

 private:
  LineReader lines_;
  LineForm form_;
};

/// Sources that are answered before the next are read.
struct ReadWindow {
  SourceWindow window;
  std::vector<std::string> where;  ///< by source
};

/// The next `max_sources` sources, fewer when they are long or the input ends; none at its end. `first` is the place of
/// the first of them.
Result<ReadWindow> read_window(SourceReader& sources, std::int64_t first, std::int64_t max_sources);

}  // namespace plumbline
