// metrics.jsonl: one JSON object a line. Names are those that people know from other trainers:
//   {"kind":"train","step":10,"time":"…Z","epoch":0.02,"loss":…,"learning_rate":…,"grad_norm":…,"tokens_per_second":…,
//    "model_flops_per_second":…,"mfu":…,"source_tokens":…,"output_tokens":…,"seconds":…,
//    "phase_seconds":{"data":…,"forward":…,"backward":…,"reduce":…,"optimizer":…,"checkpoint":…},   (rank 0)
//    "norms":{"NAME":{"loss":…,"nll_loss":…,"rewards/chosen":…,"rewards/rejected":…,"rewards/accuracies":…,
//                     "rewards/margins":…,"logps/chosen":…,"logps/rejected":…,"log_odds_ratio":…,
//                     "log_odds_chosen":…,"kl":…}}}
//   {"kind":"heldout","step":100,"time":"…Z","norms":{"NAME":{"loss":…,"nll_loss":…,"rewards/margins":…,
//    "rewards/accuracies":…,"undesirable_rate":…,"desired_score":…}}}   (the last two with evaluate.judged)
// `loss` of a norm is its objective's loss on that step's examples (before the norm's weight); nll_loss is the mean
// negative log-likelihood a token of the desired outputs. A key that does not apply is absent.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/json.hpp"
#include "common/core/result.hpp"

namespace plumbline {
/// All lines that are whole; a last line cut by a crash is ignored. After a restart a step can stand twice: the later
/// line counts, and lines with a step beyond a later restart point are dropped. What is left is in the order of steps.
Result<std::vector<Json>> read_metrics(const std::filesystem::path& file);
Result<std::vector<Json>> parse_metrics(std::string_view text, const std::string& name);

/// The undesirable rate, in [0,1], as it was measured while training: the mean over the norms that have one.
struct MeasuredRate {
  std::int64_t step = 0;
  double rate = 0;
  friend bool operator==(const MeasuredRate&, const MeasuredRate&) = default;
};
/// Of one line; nothing when it measures no rate, or none that is a share.
std::optional<MeasuredRate> measured_rate(const Json& line);

/// Adds one line; whatever a crash left of a cut one is removed first. One writer at a time (the coordinator).
Status append_metrics(const std::filesystem::path& file, const Json& line);
}  // namespace plumbline
