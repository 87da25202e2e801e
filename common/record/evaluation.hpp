// What a model wrote on held-out examples: evaluation/step-N.jsonl, one line a row, in ascending row order. Written by
// rank 0 of the workers, judged and scored by the coordinator (aggregate). Step 0 is the model the run started from.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace plumbline {

struct EvaluationRow {
  std::int64_t row = 0;  ///< held-out row of the dataset
  std::string id;        ///< example id, hex
  std::string norm;
  std::string source;
  std::optional<std::string> desired, undesired;
  std::optional<std::string> output;  ///< greedy; absent for rows that were only scored
  bool output_complete = true;        ///< false: cut at max_new_tokens before EOS
  /// Greedy among the outputs that the norm's form allows; only for norms whose form can be held while decoding.
  std::optional<std::string> output_constrained;
  bool output_constrained_complete = true;
  std::optional<double> desired_log_prob, undesired_log_prob;  ///< sums over the output's tokens, EOS included
  std::int64_t desired_tokens = 0, undesired_tokens = 0;
};
Status write_evaluation(const std::filesystem::path& file, const std::vector<EvaluationRow>& rows);
Result<std::vector<EvaluationRow>> read_evaluation(const std::filesystem::path& file);
Result<std::vector<EvaluationRow>> parse_evaluation(std::string_view text, const std::string& name);
/// One line of the file, with its newline.
std::string to_line(const EvaluationRow& row);

}  // namespace plumbline
