// What every importer promises: lines that exist, a source, finite numbers.
#pragma once
#include <cmath>
#include <cstdint>
#include <string_view>

#include "common/core/check.hpp"
#include "common/core/utf8.hpp"
#include "coordinator/curate/importer.hpp"

namespace plumbline {

class CheckingSink final : public ImportSink {
 public:
  Status take(Imported example) override {
    PLUMBLINE_CHECK(example.line > 0, "an example stands on a line");
    PLUMBLINE_CHECK(example.weight > 0 && std::isfinite(example.weight), "a weight is above 0");
    PLUMBLINE_CHECK(is_utf8(example.source), "a source is UTF-8");
    for (const auto* side : {&example.desired, &example.undesired})
      PLUMBLINE_CHECK(!*side || is_utf8(**side), "an output is UTF-8");
    for (const auto& [name, value] : example.attributes)
      PLUMBLINE_CHECK(std::isfinite(value), "an attribute is a number");
    return {};
  }
  void leave_out(Reason, std::int64_t line) override { PLUMBLINE_CHECK(line > 0, "a row stands on a line"); }
};

/// Imports the bytes; an error must be one of the data, at a line of the file.
inline void fuzz_importer(const Importer& importer, std::string_view text) {
  LineReader lines = LineReader::over(text, "file");
  CheckingSink sink;
  const Status status = importer.read(lines, sink);
  if (status.has_value()) return;
  PLUMBLINE_CHECK(status.error().code == ErrorCode::kData, "a file's mistakes are data errors");
  PLUMBLINE_CHECK(status.error().where.starts_with("file:"), "an error names the line");
}

}  // namespace plumbline
