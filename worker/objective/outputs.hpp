// The model's view of a micro-batch's outputs: desired and undesired rows through one pass of encoder and decoder, and
// what the objectives need of each row. Room-internal.
//
// Axes: R output rows (the used desired ones, then the used undesired ones), P label positions (padding left out).
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "worker/batch/batch.hpp"
#include "worker/model/t5.hpp"

namespace plumbline {

/// Which rows of each side are computed: indices into OutputTensors rows, ascending.
struct UsedRows {
  std::vector<std::int64_t> desired, undesired;
};

struct ScoredOutputs {
  at::Tensor log_prob_R;  ///< fp64, with gradient: sum of the labels' log-probs
  at::Tensor unlikely_R;  ///< fp64, with gradient: sum of -log(1 - p(label)) of the undesired rows (0 elsewhere);
                          ///< undefined unless asked for
};

enum class Unlikelihood { kSkip, kCompute };

/// At least one row must be used.
ScoredOutputs score_outputs(const T5& model, const Batch& batch, const UsedRows& used, Unlikelihood unlikelihood,
                            std::optional<DropoutKey> dropout);

}  // namespace plumbline
