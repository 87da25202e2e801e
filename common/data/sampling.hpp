// What a model is asked to write for the training sources of a dataset, several times each: the task that `plumbline
// refine` hands to worker processes, and the lines that they hand back. No torch.
//
// Rows are cut into fixed batches; batch b is done by process b mod N. What is sampled for a row depends on (seed, row,
// sample) alone, so neither the number of processes nor an interruption changes it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "common/core/result.hpp"
#include "common/data/dataset.hpp"

namespace plumbline {

struct SamplingTask {
  std::string model;  ///< folder with config.json and model.safetensors
  std::string data;   ///< dataset folder
  std::string norm;   ///< whose examples' sources are answered
  int samples = 4;    ///< outputs of each source; the first is the greedy one
  double temperature = 1.0, top_p = 1.0;
  int top_k = 0;  ///< 0: all tokens
  std::uint64_t seed = 1;
  std::int64_t examples = 0;  ///< sources at most, drawn by the seed; 0: all
  int max_source_tokens = 512, max_new_tokens = 256;
  int batch_rows = 32;
  int threads = 1;
  bool repair = false;  ///< outputs that are no alignments are written a second time, repaired
};
Json to_json(const SamplingTask& task);
/// A data error that names the key when one is missing, of another type or out of range.
Result<SamplingTask> sampling_task_from_json(const Json& json, const std::string& where);

/// The task's rows of the training split, in batches of like length. A data error when the dataset has no such norm, or
/// the norm no training example.
Result<std::vector<std::vector<std::int64_t>>> sampling_batches(const Dataset& dataset, const SamplingTask& task);

/// One source's outputs, in the order of their sample numbers.
struct SampledRow {
  std::int64_t row = 0;
  std::vector<std::string> outputs;
  std::vector<bool> complete;  ///< false: cut at max_new_tokens
  /// By output: what repair (worker/generate/repair.hpp) made of it; none where there was nothing to repair, or no
  /// room.
  std::vector<std::optional<std::string>> repaired;
};
Json to_json(const SampledRow& row);
Result<SampledRow> sampled_row_from_json(const Json& json, const std::string& where);

}  // namespace plumbline
