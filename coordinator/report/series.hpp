// What metrics.jsonl says, in the form that charts draw: series of at most kMostPoints points, each the mean of as many
// consecutive lines as it takes, at the step of the last of them.
#pragma once
#include <vector>

#include "common/core/json.hpp"

namespace plumbline {

inline constexpr std::size_t kMostPoints = 300;

/// {"steps": newest step, "lines_per_point": k,
///  "run": {"tokens_per_second": [[step, value], …], "loss": …, "learning_rate": …, "grad_norm": …},
///  "train": {NORM: {"loss": [[step, value], …], "rewards/margins": …}}, "heldout": {NORM: {…}},
///  "phases": {NAME: seconds}, "seconds": sum, "tokens": sum, "source_tokens", "output_tokens", "first_time",
///  "last_time"}
/// Values of another type than a number are passed over.
Json training_series(const std::vector<Json>& metrics);

}  // namespace plumbline
