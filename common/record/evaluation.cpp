#include "common/record/evaluation.hpp"

#include "common/core/files.hpp"
#include "common/core/json.hpp"
#include "common/record/json_lines.hpp"

namespace plumbline {

namespace {

template <class T>
void put(Json& json, const char* key, const std::optional<T>& value) {
  if (value) json[key] = *value;
}

/// An absent key or null is no value: a log-prob that is not finite is written as null.
template <class T>
Status get(const Json& json, const char* key, const std::string& where, std::optional<T>& value) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return {};
  PLUMBLINE_ASSIGN(value, json_get<T>(json, key, where));
  return {};
}

Json to_json(const EvaluationRow& row) {
  Json json{{"row", row.row}, {"id", row.id}, {"norm", row.norm}, {"source", row.source}};
  put(json, "desired", row.desired);
  put(json, "undesired", row.undesired);
  put(json, "output", row.output);
  if (row.output) json["output_complete"] = row.output_complete;
  put(json, "output_constrained", row.output_constrained);
  if (row.output_constrained) json["output_constrained_complete"] = row.output_constrained_complete;
  put(json, "desired_log_prob", row.desired_log_prob);
  put(json, "undesired_log_prob", row.undesired_log_prob);
  if (row.desired) json["desired_tokens"] = row.desired_tokens;
  if (row.undesired) json["undesired_tokens"] = row.undesired_tokens;
  return json;
}

Result<EvaluationRow> row_from_json(const Json& json, const std::string& where) {
  EvaluationRow row;
  PLUMBLINE_ASSIGN(row.row, json_get<std::int64_t>(json, "row", where));
  PLUMBLINE_ASSIGN(row.id, json_get<std::string>(json, "id", where));
  PLUMBLINE_ASSIGN(row.norm, json_get<std::string>(json, "norm", where));
  PLUMBLINE_ASSIGN(row.source, json_get<std::string>(json, "source", where));
  PLUMBLINE_TRY(get(json, "desired", where, row.desired));
  PLUMBLINE_TRY(get(json, "undesired", where, row.undesired));
  PLUMBLINE_TRY(get(json, "output", where, row.output));
  PLUMBLINE_TRY(get(json, "output_constrained", where, row.output_constrained));
  PLUMBLINE_TRY(get(json, "desired_log_prob", where, row.desired_log_prob));
  PLUMBLINE_TRY(get(json, "undesired_log_prob", where, row.undesired_log_prob));
  if (row.output) {
    PLUMBLINE_ASSIGN(row.output_complete, json_get<bool>(json, "output_complete", where));
  }
  if (row.output_constrained) {
    PLUMBLINE_ASSIGN(row.output_constrained_complete, json_get<bool>(json, "output_constrained_complete", where));
  }
  if (row.desired) {
    PLUMBLINE_ASSIGN(row.desired_tokens, json_get<std::int64_t>(json, "desired_tokens", where));
  }
  if (row.undesired) {
    PLUMBLINE_ASSIGN(row.undesired_tokens, json_get<std::int64_t>(json, "undesired_tokens", where));
  }
  if (row.row < 0 || row.desired_tokens < 0 || row.undesired_tokens < 0)
    return data_error("a row number or a token count is negative", where);
  return row;
}

}  // namespace

std::string to_line(const EvaluationRow& row) { return to_line(to_json(row)) + "\n"; }

Status write_evaluation(const std::filesystem::path& file, const std::vector<EvaluationRow>& rows) {
  std::string text;
  for (const EvaluationRow& row : rows) text += to_line(row);
  return write_file_atomically(file, text);
}

Result<std::vector<EvaluationRow>> read_evaluation(const std::filesystem::path& file) {
  PLUMBLINE_ASSIGN(const std::string text, read_file(file));
  return parse_evaluation(text, file.string());
}

Result<std::vector<EvaluationRow>> parse_evaluation(std::string_view text, const std::string& name) {
  std::vector<EvaluationRow> rows;
  PLUMBLINE_TRY(
      for_each_json_line(text, name, LastLine::kMustBeWhole, [&](const Json& json, const std::string& where) -> Status {
        PLUMBLINE_ASSIGN(EvaluationRow row, row_from_json(json, where));
        if (!rows.empty() && row.row <= rows.back().row)
          return data_error(
              "row " + std::to_string(row.row) + " does not come after row " + std::to_string(rows.back().row), where);
        rows.push_back(std::move(row));
        return {};
      }));
  return rows;
}

}  // namespace plumbline
