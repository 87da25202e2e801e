#include "coordinator/curate/simulated_importer.hpp"

#include <algorithm>
#include <utility>

#include "coordinator/curate/jsonl_importer.hpp"

namespace plumbline {

namespace {

Result<Rows> read_rows(const Json& line, const std::string& where) {
  PLUMBLINE_ASSIGN(Rows rows, json_get<Rows>(line, "rows", where));
  const auto is_cell = [](char c) { return c == '-' || (c >= 'A' && c <= 'Z'); };
  for (const std::string& row : rows)
    if (row.size() != rows.front().size() || !std::all_of(row.begin(), row.end(), is_cell))
      return data_error("\"rows\" is no alignment", where);
  if (rows.size() < 2) return data_error("\"rows\" is no alignment", where);
  return rows;
}

}  // namespace

Status SimulatedImporter::read(LineReader& lines, ImportSink& sink) const {
  while (true) {
    PLUMBLINE_ASSIGN(const std::optional<Json> line, next_json_object(lines));
    if (!line) return {};
    PLUMBLINE_ASSIGN(const Rows rows, read_rows(*line, lines.where()));
    Imported example = encoder_.encode(rows, lines.line());
    PLUMBLINE_ASSIGN(const Json attributes, json_get<Json>(*line, "attributes", lines.where()));
    if (!attributes.is_object()) return data_error("\"attributes\" must be an object of numbers", lines.where());
    for (const auto& [name, value] : attributes.items()) {
      if (!value.is_number()) return data_error("\"attributes\" must be an object of numbers", lines.where());
      example.attributes[name] = value.get<float>();
    }
    PLUMBLINE_TRY(sink.take(std::move(example)));
  }
}

}  // namespace plumbline
