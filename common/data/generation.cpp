#include "common/data/generation.hpp"

#include <cmath>

namespace plumbline {

namespace {

constexpr int kMaxSamples = 1024;
constexpr int kMaxBeams = 1024;

Status in_range(bool holds, const char* key, const std::string& where) {
  if (holds) return {};
  return data_error(std::string("the key \"") + key + "\" is out of range", where);
}

Result<WrittenOutput> output_from_json(const Json& json, const std::string& where) {
  WrittenOutput output;
  PLUMBLINE_ASSIGN(output.text, json_get<std::string>(json, "text", where));
  PLUMBLINE_ASSIGN(output.complete, json_get<bool>(json, "complete", where));
  if (json.contains("score")) {
    PLUMBLINE_ASSIGN(output.score, json_get<double>(json, "score", where));
  }
  return output;
}

}  // namespace

Json to_json(const GenerationTask& task) {
  return Json{{"model", task.model},
              {"max_new_tokens", task.max_new_tokens},
              {"max_source_tokens", task.max_source_tokens},
              {"batch_rows", task.batch_rows},
              {"temperature", task.temperature},
              {"top_p", task.top_p},
              {"top_k", task.top_k},
              {"seed", task.seed},
              {"samples", task.samples},
              {"beams", task.beams},
              {"length_penalty", task.length_penalty},
              {"early_stopping", task.early_stopping}};
}

Result<GenerationTask> generation_task_from_json(const Json& json, const std::string& where) {
  GenerationTask task;
  PLUMBLINE_ASSIGN(task.model, json_get<std::string>(json, "model", where));
  PLUMBLINE_ASSIGN(task.max_new_tokens, json_get<int>(json, "max_new_tokens", where));
  PLUMBLINE_ASSIGN(task.max_source_tokens, json_get<int>(json, "max_source_tokens", where));
  PLUMBLINE_ASSIGN(task.batch_rows, json_get<int>(json, "batch_rows", where));
  PLUMBLINE_ASSIGN(task.temperature, json_get<double>(json, "temperature", where));
  PLUMBLINE_ASSIGN(task.top_p, json_get<double>(json, "top_p", where));
  PLUMBLINE_ASSIGN(task.top_k, json_get<int>(json, "top_k", where));
  PLUMBLINE_ASSIGN(task.seed, json_get<std::uint64_t>(json, "seed", where));
  PLUMBLINE_ASSIGN(task.samples, json_get<int>(json, "samples", where));
  PLUMBLINE_ASSIGN(task.beams, json_get<int>(json, "beams", where));
  PLUMBLINE_ASSIGN(task.length_penalty, json_get<double>(json, "length_penalty", where));
  PLUMBLINE_ASSIGN(task.early_stopping, json_get<bool>(json, "early_stopping", where));
  PLUMBLINE_TRY(in_range(task.max_new_tokens >= 1, "max_new_tokens", where));
  PLUMBLINE_TRY(in_range(task.max_source_tokens >= 2, "max_source_tokens", where));
  PLUMBLINE_TRY(in_range(task.batch_rows >= 1, "batch_rows", where));
  PLUMBLINE_TRY(in_range(task.temperature >= 0 && std::isfinite(task.temperature), "temperature", where));
  PLUMBLINE_TRY(in_range(task.top_p > 0 && task.top_p <= 1, "top_p", where));
  PLUMBLINE_TRY(in_range(task.top_k >= 0, "top_k", where));
  PLUMBLINE_TRY(in_range(task.beams >= 1 && task.beams <= kMaxBeams, "beams", where));
  PLUMBLINE_TRY(in_range(task.beams == 1 || task.temperature == 0, "beams", where));
  PLUMBLINE_TRY(in_range(task.samples >= 1 && task.samples <= kMaxSamples, "samples", where));
  PLUMBLINE_TRY(in_range(task.samples == 1 || task.temperature > 0, "samples", where));
  PLUMBLINE_TRY(in_range(std::isfinite(task.length_penalty), "length_penalty", where));
  return task;
}

Json to_json(const SourceWindow& window) { return Json{{"first", window.first}, {"sources", window.sources}}; }

Result<SourceWindow> source_window_from_json(const Json& json, const std::string& where) {
  SourceWindow window;
  PLUMBLINE_ASSIGN(window.first, json_get<std::int64_t>(json, "first", where));
  PLUMBLINE_ASSIGN(window.sources, json_get<std::vector<std::string>>(json, "sources", where));
  PLUMBLINE_TRY(in_range(window.first >= 0, "first", where));
  return window;
}

Json to_json(const Answer& answer) {
  Json outputs = Json::array();
  for (const WrittenOutput& output : answer.outputs) {
    Json object{{"text", output.text}, {"complete", output.complete}};
    if (output.score) object["score"] = *output.score;
    outputs.push_back(std::move(object));
  }
  return Json{{"source", answer.source}, {"cut", answer.cut}, {"outputs", std::move(outputs)}};
}

Result<Answer> answer_from_json(const Json& json, const std::string& where) {
  Answer answer;
  PLUMBLINE_ASSIGN(answer.source, json_get<std::int64_t>(json, "source", where));
  PLUMBLINE_ASSIGN(answer.cut, json_get<bool>(json, "cut", where));
  PLUMBLINE_ASSIGN(const Json outputs, json_get<Json>(json, "outputs", where));
  PLUMBLINE_TRY(in_range(outputs.is_array(), "outputs", where));
  for (const Json& object : outputs) {
    PLUMBLINE_ASSIGN(WrittenOutput output, output_from_json(object, where));
    answer.outputs.push_back(std::move(output));
  }
  return answer;
}

Json to_json(const Error& error) {
  return Json{{"error",
               {{"code", static_cast<int>(error.code)},
                {"message", error.message},
                {"where", error.where},
                {"hint", error.hint}}}};
}

Error error_from_json(const Json& json, const std::string& where) {
  PLUMBLINE_ASSIGN(const Json object, json_get<Json>(json, "error", where));
  PLUMBLINE_ASSIGN(const int code, json_get<int>(object, "code", where));
  const auto first = static_cast<int>(ErrorCode::kUsage), last = static_cast<int>(ErrorCode::kEnvironment);
  PLUMBLINE_TRY(in_range(code >= first && code <= last, "code", where));
  Error error;
  error.code = static_cast<ErrorCode>(code);
  PLUMBLINE_ASSIGN(error.message, json_get<std::string>(object, "message", where));
  PLUMBLINE_ASSIGN(error.where, json_get<std::string>(object, "where", where));
  PLUMBLINE_ASSIGN(error.hint, json_get<std::string>(object, "hint", where));
  return error;
}

}  // namespace plumbline
