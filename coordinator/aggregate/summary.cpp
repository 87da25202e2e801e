#include "coordinator/aggregate/summary.hpp"

#include <algorithm>
#include <unordered_map>

#include "coordinator/aggregate/bootstrap.hpp"

namespace plumbline {
namespace {

bool is_blank(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); });
}

Json summarize_model(const std::vector<JudgedRow>& rows, const std::string& name) {
  Json json = {{"examples", rows.size()}};
  if (rows.empty()) return json;
  std::vector<double> undesirable, scores;
  std::int64_t empty = 0, copies = 0;
  for (const JudgedRow& row : rows) {
    const JudgedOutput& output = *output_of(row, name);
    undesirable.push_back(output.verdict.undesirable ? 1 : 0);
    if (output.score) scores.push_back(*output.score);
    empty += is_blank(output.text);
    copies += output.text == row.source;
  }
  json["undesirable_rate"] = mean(undesirable);
  json["undesirable_rate_ci"] = to_json(bootstrap_mean(undesirable));
  if (!scores.empty()) {
    json["desired_score"] = mean(scores);
    json["desired_score_ci"] = to_json(bootstrap_mean(scores));
  }
  json["empty"] = empty;
  json["copies"] = copies;
  return json;
}

/// aligned − `other`, row by row.
Json summarize_difference(const std::vector<JudgedRow>& rows, const std::string& other, const char* rate_interval) {
  std::vector<double> undesirable, scores;
  for (const JudgedRow& row : rows) {
    const JudgedOutput& from = *output_of(row, other);
    undesirable.push_back(double(row.aligned.verdict.undesirable) - double(from.verdict.undesirable));
    if (row.aligned.score && from.score) scores.push_back(*row.aligned.score - *from.score);
  }
  Json json = {{"undesirable_rate", mean(undesirable)}, {rate_interval, to_json(bootstrap_mean(undesirable))}};
  if (!scores.empty()) {
    json["desired_score"] = mean(scores);
    json["desired_score_ci"] = to_json(bootstrap_mean(scores));
  }
  return json;
}

}  // namespace

std::optional<double> preference_accuracy(const std::string& norm, const std::vector<EvaluationRow>& base,
                                          const std::vector<EvaluationRow>& aligned) {
  const auto margin = [](const EvaluationRow& row) -> std::optional<double> {
    if (!row.desired_log_prob || !row.undesired_log_prob) return std::nullopt;
    return *row.desired_log_prob - *row.undesired_log_prob;
  };
  std::unordered_map<std::int64_t, double> before;
  for (const EvaluationRow& row : base)
    if (row.norm == norm)
      if (const auto m = margin(row)) before.emplace(row.row, *m);
  double won = 0;
  std::int64_t pairs = 0;
  for (const EvaluationRow& row : aligned) {
    const auto found = before.find(row.row);
    if (row.norm != norm || found == before.end()) continue;
    const auto after = margin(row);
    if (!after) continue;
    ++pairs;
    const double change = after.value() - found->second;
    won += change > 0 ? 1.0 : change < 0 ? 0.0 : 0.5;
  }
  if (pairs == 0) return std::nullopt;
  return won / static_cast<double>(pairs);
}

Json summarize_norm(const Norm& norm, const std::vector<JudgedRow>& rows, std::optional<double> accuracy) {
  Json json = {{"judge", norm.judge == JudgeKind::kRules ? "rules" : "classifier"}};
  if (norm.judge == JudgeKind::kClassifier) json["judge_accuracy"] = norm.classifier_accuracy;
  if (!norm.description.empty()) json["description"] = norm.description;
  const std::vector<std::string> comparators = comparators_of(rows);
  json["comparators"] = comparators;
  for (const std::string& name : comparators) json[name] = summarize_model(rows, name);
  if (!rows.empty()) {
    json["difference"] = summarize_difference(rows, "base", "ci");
    for (const std::string& name : comparators)
      if (name != "aligned") json["differences"][name] = summarize_difference(rows, name, "undesirable_rate_ci");
  }
  if (accuracy) json["preference_accuracy"] = *accuracy;
  return json;
}

}  // namespace plumbline
