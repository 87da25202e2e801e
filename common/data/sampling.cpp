#include "common/data/sampling.hpp"

#include <algorithm>
#include <cmath>

#include "common/data/plan.hpp"

namespace plumbline {

namespace {

constexpr int kMaxCandidates = 1024;

Status out_of_range(const char* key, const std::string& where) {
  return data_error(std::string("the key \"") + key + "\" is out of range", where);
}

}  // namespace

Json to_json(const SamplingTask& task) {
  return Json{{"model", task.model},
              {"data", task.data},
              {"norm", task.norm},
              {"samples", task.samples},
              {"temperature", task.temperature},
              {"top_p", task.top_p},
              {"top_k", task.top_k},
              {"seed", task.seed},
              {"examples", task.examples},
              {"max_source_tokens", task.max_source_tokens},
              {"max_new_tokens", task.max_new_tokens},
              {"batch_rows", task.batch_rows},
              {"threads", task.threads},
              {"repair", task.repair}};
}

Result<SamplingTask> sampling_task_from_json(const Json& json, const std::string& where) {
  SamplingTask task;
  PLUMBLINE_ASSIGN(task.model, json_get<std::string>(json, "model", where));
  PLUMBLINE_ASSIGN(task.data, json_get<std::string>(json, "data", where));
  PLUMBLINE_ASSIGN(task.norm, json_get<std::string>(json, "norm", where));
  PLUMBLINE_ASSIGN(task.samples, json_get<int>(json, "samples", where));
  PLUMBLINE_ASSIGN(task.temperature, json_get<double>(json, "temperature", where));
  PLUMBLINE_ASSIGN(task.top_p, json_get<double>(json, "top_p", where));
  PLUMBLINE_ASSIGN(task.top_k, json_get<int>(json, "top_k", where));
  PLUMBLINE_ASSIGN(task.seed, json_get<std::uint64_t>(json, "seed", where));
  PLUMBLINE_ASSIGN(task.examples, json_get<std::int64_t>(json, "examples", where));
  PLUMBLINE_ASSIGN(task.max_source_tokens, json_get<int>(json, "max_source_tokens", where));
  PLUMBLINE_ASSIGN(task.max_new_tokens, json_get<int>(json, "max_new_tokens", where));
  PLUMBLINE_ASSIGN(task.batch_rows, json_get<int>(json, "batch_rows", where));
  PLUMBLINE_ASSIGN(task.threads, json_get<int>(json, "threads", where));
  PLUMBLINE_ASSIGN(task.repair, json_get<bool>(json, "repair", where));
  if (task.samples < 1 || task.samples > kMaxCandidates) return out_of_range("samples", where).error();
  if (!(task.temperature > 0) || !std::isfinite(task.temperature)) return out_of_range("temperature", where).error();
  if (!(task.top_p > 0) || task.top_p > 1) return out_of_range("top_p", where).error();
  if (task.top_k < 0) return out_of_range("top_k", where).error();
  if (task.examples < 0) return out_of_range("examples", where).error();
  if (task.max_source_tokens < 2) return out_of_range("max_source_tokens", where).error();
  if (task.max_new_tokens < 1) return out_of_range("max_new_tokens", where).error();
  if (task.batch_rows < 1) return out_of_range("batch_rows", where).error();
  if (task.threads < 1) return out_of_range("threads", where).error();
  return task;
}

Result<std::vector<std::vector<std::int64_t>>> sampling_batches(const Dataset& dataset, const SamplingTask& task) {
  const auto& norms = dataset.info().norms;
  const auto found = std::find_if(norms.begin(), norms.end(), [&](const Norm& norm) { return norm.name == task.norm; });
  if (found == norms.end()) {
    std::string known;
    for (const Norm& norm : norms) known += (known.empty() ? "" : ", ") + norm.name;
    return data_error("the dataset has no norm " + task.norm, dataset.folder().string(), "Its norms: " + known + ".");
  }
  const auto index = static_cast<std::size_t>(found - norms.begin());
  const Split& split = dataset.train();
  std::vector<std::int64_t> rows;
  const KeyedPermutation order(task.seed, 0, static_cast<std::uint64_t>(std::max<std::int64_t>(split.size(), 1)));
  for (std::int64_t position = 0; position < split.size(); ++position) {
    if (task.examples > 0 && static_cast<std::int64_t>(rows.size()) == task.examples) break;
    const auto row = static_cast<std::int64_t>(order(static_cast<std::uint64_t>(position)));
    if (split.norm(row) == index) rows.push_back(row);
  }
  if (rows.empty())
    return data_error("the dataset has no training example of norm " + task.norm, dataset.folder().string());
  return fixed_batches(split, rows, task.batch_rows);
}

Json to_json(const SampledRow& row) {
  Json repaired = Json::array();
  for (const auto& text : row.repaired) repaired.push_back(text ? Json(*text) : Json());
  return Json{{"row", row.row}, {"outputs", row.outputs}, {"complete", row.complete}, {"repaired", repaired}};
}

Result<SampledRow> sampled_row_from_json(const Json& json, const std::string& where) {
  SampledRow sampled;
  PLUMBLINE_ASSIGN(sampled.row, json_get<std::int64_t>(json, "row", where));
  PLUMBLINE_ASSIGN(const Json outputs, json_get<Json>(json, "outputs", where));
  PLUMBLINE_ASSIGN(const Json complete, json_get<Json>(json, "complete", where));
  PLUMBLINE_ASSIGN(const Json repaired, json_get<Json>(json, "repaired", where));
  if (!outputs.is_array() || !complete.is_array() || !repaired.is_array() || outputs.size() != complete.size() ||
      outputs.size() != repaired.size())
    return data_error("\"outputs\", \"complete\" and \"repaired\" must be lists of one length", where);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].is_string() || !complete[i].is_boolean() || !(repaired[i].is_string() || repaired[i].is_null()))
      return data_error("\"outputs\" must hold texts, \"complete\" true or false, \"repaired\" texts or null", where);
    sampled.outputs.push_back(outputs[i].get<std::string>());
    sampled.complete.push_back(complete[i].get<bool>());
    sampled.repaired.push_back(repaired[i].is_string() ? std::optional(repaired[i].get<std::string>()) : std::nullopt);
  }
  return sampled;
}

}  // namespace plumbline
