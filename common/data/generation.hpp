// What `plumbline generate` and its worker say to each other, one JSON object a line. No torch.
//
//   to the worker    a GenerationTask; then SourceWindows, one after another, until its input ends
//   from the worker  {"ready": true} once the model is loaded; for each window an Answer to every source of it, in the
//                    order in which they are done; {"error": …} in place of any of these, and nothing after it
//
// The worker reads a whole window before it answers, and its other side writes a window only when the one before is
// answered, so neither can wait for the other in vain.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "common/core/result.hpp"

namespace plumbline {

/// How outputs are written: greedily, drawn (temperature above 0), or by beams (more than one).
struct GenerationTask {
  std::string model;  ///< folder with config.json and model.safetensors
  int max_new_tokens = 256;
  int max_source_tokens = 2048;  ///< a longer source loses its beginning, as in training
  int batch_rows = 32;           ///< sources at most that are answered together
  double temperature = 0, top_p = 1;
  int top_k = 0;           ///< 0: all tokens
  std::uint64_t seed = 1;  ///< what is drawn depends on it, on the source's place in the input, and on the sample
  int samples = 1;         ///< outputs of each source; more than one only when they are drawn
  int beams = 1;
  double length_penalty = 1;
  bool early_stopping = false;
};
Json to_json(const GenerationTask& task);
/// A data error that names the key when one is missing, of another type or out of range.
Result<GenerationTask> generation_task_from_json(const Json& json, const std::string& where);

struct SourceWindow {
  std::int64_t first = 0;  ///< place of the first source in the whole input, from 0
  std::vector<std::string> sources;
};
Json to_json(const SourceWindow& window);
Result<SourceWindow> source_window_from_json(const Json& json, const std::string& where);

struct WrittenOutput {
  std::string text;
  bool complete = false;        ///< false: cut at max_new_tokens
  std::optional<double> score;  ///< with beams: sum of log-probs / tokens^length_penalty
};
struct Answer {
  std::int64_t source = 0;  ///< its place in the window
  bool cut = false;         ///< the source was too long
  std::vector<WrittenOutput> outputs;
};
Json to_json(const Answer& answer);
Result<Answer> answer_from_json(const Json& json, const std::string& where);

Json to_json(const Error& error);
/// The Error that a worker sent; a data error when `json` is none.
Error error_from_json(const Json& json, const std::string& where);

}  // namespace plumbline
