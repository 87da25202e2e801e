// JSON-lines files of a run: evaluation rows and metrics.
#include <limits>

#include "common/core/check.hpp"
#include "common/record/evaluation.hpp"
#include "common/record/metrics.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto rows = parse_evaluation(text, "input"); rows.has_value()) {
    std::string written;
    for (const EvaluationRow& row : rows.value()) written += to_line(row);
    const auto again = parse_evaluation(written, "written");
    PLUMBLINE_CHECK(again.has_value() && again.value().size() == rows.value().size(), "written rows are refused");
  }
  if (const auto lines = parse_metrics(text, "input"); lines.has_value()) {
    std::int64_t newest = std::numeric_limits<std::int64_t>::min();
    for (const Json& line : lines.value()) {
      const auto step = line.at("step").get<std::int64_t>();
      PLUMBLINE_CHECK(step >= newest, "steps go back");
      newest = step;
    }
  }
  return 0;
}
