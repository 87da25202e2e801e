#include "coordinator/aggregate/judged.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "common/core/files.hpp"

namespace plumbline {
namespace {

JudgedOutput judged(const Norm& norm, const Judge& judge, const EvaluationRow& row, std::string text, bool complete) {
  JudgedOutput output;
  output.verdict = judge.judge(row.source, text);
  if (row.desired) output.score = desired_score(norm, row.source, text, *row.desired);
  output.text = std::move(text);
  output.complete = complete;
  return output;
}

Json to_json(const JudgedOutput& output) {
  Json json = {{"output", output.text},
               {"complete", output.complete},
               {"undesirable", output.verdict.undesirable},
               {"reason", output.verdict.reason}};
  if (output.score) json["score"] = *output.score;
  return json;
}

Result<JudgedOutput> output_from_json(const Json& json, const std::string& where) {
  JudgedOutput output;
  PLUMBLINE_ASSIGN(output.text, json_get<std::string>(json, "output", where));
  PLUMBLINE_ASSIGN(output.complete, json_get<bool>(json, "complete", where));
  PLUMBLINE_ASSIGN(output.verdict.undesirable, json_get<bool>(json, "undesirable", where));
  PLUMBLINE_ASSIGN(output.verdict.reason, json_get<std::string>(json, "reason", where));
  if (json.contains("score")) {
    PLUMBLINE_ASSIGN(output.score, json_get<double>(json, "score", where));
  }
  return output;
}

Result<JudgedRow> row_from_json(const Json& json, const std::string& where) {
  JudgedRow row;
  PLUMBLINE_ASSIGN(row.row, json_get<std::int64_t>(json, "row", where));
  PLUMBLINE_ASSIGN(row.id, json_get<std::string>(json, "id", where));
  PLUMBLINE_ASSIGN(row.norm, json_get<std::string>(json, "norm", where));
  PLUMBLINE_ASSIGN(row.source, json_get<std::string>(json, "source", where));
  if (json.contains("desired")) {
    PLUMBLINE_ASSIGN(row.desired, json_get<std::string>(json, "desired", where));
  }
  if (json.contains("undesired")) {
    PLUMBLINE_ASSIGN(row.undesired, json_get<std::string>(json, "undesired", where));
  }
  for (auto [key, output] : {std::pair{"base", &row.base}, {"rules", &row.rules}, {"aligned", &row.aligned}}) {
    if (!json.contains(key)) return data_error(fmt::format("the key \"{}\" is missing", key), where);
    PLUMBLINE_ASSIGN(*output, output_from_json(json.at(key), where + "." + key));
  }
  if (!json.contains("others")) return row;
  if (!json.at("others").is_object()) return data_error("the key \"others\" must be an object", where);
  for (const auto& [name, other] : json.at("others").items()) {
    PLUMBLINE_ASSIGN(row.others[name], output_from_json(other, where + ".others." + name));
  }
  return row;
}

using RowOf = std::unordered_map<std::int64_t, const EvaluationRow*>;

/// The rows of `norm` that have an output, by number.
RowOf answered(const std::vector<EvaluationRow>& rows, const std::string& norm) {
  RowOf found;
  for (const EvaluationRow& row : rows)
    if (row.norm == norm && row.output) found.emplace(row.row, &row);
  return found;
}

}  // namespace

const JudgedOutput* output_of(const JudgedRow& row, const std::string& name) {
  if (name == "base") return &row.base;
  if (name == "rules") return &row.rules;
  if (name == "aligned") return &row.aligned;
  const auto found = row.others.find(name);
  return found == row.others.end() ? nullptr : &found->second;
}

std::vector<std::string> comparators_of(const std::vector<JudgedRow>& rows) {
  std::vector<std::string> compared;  // ascending, as the map has them
  bool base_constrained = !rows.empty(), aligned_constrained = !rows.empty();
  const auto in_all = [&](const std::string& name) {
    return std::all_of(rows.begin(), rows.end(), [&](const JudgedRow& row) { return output_of(row, name) != nullptr; });
  };
  base_constrained = base_constrained && in_all("base_constrained");
  aligned_constrained = aligned_constrained && in_all("aligned_constrained");
  if (!rows.empty())
    for (const auto& [name, output] : rows.front().others)
      if (name != "base_constrained" && name != "aligned_constrained" && in_all(name)) compared.push_back(name);
  std::vector<std::string> names = {"base", "rules"};
  if (base_constrained) names.push_back("base_constrained");
  names.insert(names.end(), compared.begin(), compared.end());
  names.push_back("aligned");
  if (aligned_constrained) names.push_back("aligned_constrained");
  return names;
}

std::vector<JudgedRow> judge_rows(const Norm& norm, const Judge& judge, const Judge& rule_judge,
                                  const std::vector<EvaluationRow>& base, const std::vector<EvaluationRow>& aligned,
                                  const ComparedRuns& compared) {
  const RowOf base_of = answered(base, norm.name);
  std::map<std::string, std::unordered_map<std::string, const EvaluationRow*>> compared_of;  // by example id
  for (const auto& [name, theirs] : compared)
    for (const EvaluationRow& row : theirs)
      if (row.norm == norm.name && row.output) compared_of[name].emplace(row.id, &row);
  std::vector<JudgedRow> rows;
  for (const EvaluationRow& row : aligned) {
    if (row.norm != norm.name || !row.output) continue;
    const auto found = base_of.find(row.row);
    if (found == base_of.end()) continue;
    const EvaluationRow& before = *found->second;
    JudgedRow result{row.row, row.id, row.norm, row.source, row.desired, row.undesired, {}, {}, {}, {}};
    result.base = judged(norm, judge, row, *before.output, before.output_complete);
    result.rules = rule_judge.judge(row.source, *before.output).undesirable
                       ? judged(norm, judge, row, fallback_output(norm, row.source), true)
                       : result.base;
    result.aligned = judged(norm, judge, row, *row.output, row.output_complete);
    for (const auto& [name, from] : {std::pair{"base_constrained", &before}, {"aligned_constrained", &row}})
      if (from->output_constrained)
        result.others[name] = judged(norm, judge, row, *from->output_constrained, from->output_constrained_complete);
    for (const auto& [name, theirs] : compared_of)
      if (const auto other = theirs.find(row.id); other != theirs.end())
        result.others[name] = judged(norm, judge, row, *other->second->output, other->second->output_complete);
    rows.push_back(std::move(result));
  }
  return rows;
}

std::filesystem::path judged_file(const RunLayout& layout) { return layout.evaluation() / "judged.json"; }

Status write_judged(const RunLayout& layout, const Judged& judged) {
  Json norms = Json::array(), rows = Json::array();
  for (const Norm& norm : judged.norms) norms.push_back(to_json(norm));
  for (const JudgedRow& row : judged.rows) {
    Json json = {{"row", row.row},
                 {"id", row.id},
                 {"norm", row.norm},
                 {"source", row.source},
                 {"base", to_json(row.base)},
                 {"rules", to_json(row.rules)},
                 {"aligned", to_json(row.aligned)}};
    if (row.desired) json["desired"] = *row.desired;
    if (row.undesired) json["undesired"] = *row.undesired;
    for (const auto& [name, other] : row.others) json["others"][name] = to_json(other);
    rows.push_back(std::move(json));
  }
  const Json json = {{"version", 1}, {"step", judged.step}, {"norms", std::move(norms)}, {"rows", std::move(rows)}};
  return write_file_atomically(judged_file(layout), dump_text(json, 1) + "\n");
}

Result<Judged> read_judged(const RunLayout& layout) {
  const std::string where = judged_file(layout).string();
  PLUMBLINE_ASSIGN(const Json json, read_json_file(judged_file(layout)));
  Judged judged;
  PLUMBLINE_ASSIGN(judged.step, json_get<std::int64_t>(json, "step", where));
  PLUMBLINE_ASSIGN(const auto norms, json_get<std::vector<Json>>(json, "norms", where));
  for (std::size_t i = 0; i < norms.size(); ++i) {
    PLUMBLINE_ASSIGN(Norm norm, norm_from_json(norms[i], fmt::format("{}: norms[{}]", where, i)));
    judged.norms.push_back(std::move(norm));
  }
  PLUMBLINE_ASSIGN(const auto rows, json_get<std::vector<Json>>(json, "rows", where));
  judged.rows.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    PLUMBLINE_ASSIGN(JudgedRow row, row_from_json(rows[i], fmt::format("{}: rows[{}]", where, i)));
    judged.rows.push_back(std::move(row));
  }
  return judged;
}

std::string dump_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace plumbline
