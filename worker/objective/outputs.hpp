// The model's view of a micro-batch's outputs: desired and undesired rows through one pass of encoder and decoder, and
// what the objectives need of each row. Room-internal.
//
// Axes: R output rows (the used desired ones, then the used undesired ones), P label positions (padding left out),
// time-major: position t * R + r.
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
  /// By used row: the tokens by which it is compared. Empty when every row is compared by all its tokens.
  std::vector<TokenSpan> compared;
  [[nodiscard]] std::size_t rows() const { return desired.size() + undesired.size(); }
};

struct ScoredOutputs {
  at::Tensor log_prob_R;  ///< fp64, with gradient: sum of the labels' log-probs
  at::Tensor compared_R;  ///< alike, over the tokens that are compared; log_prob_R itself when those are all
  at::Tensor unlikely_R;  ///< fp64, with gradient: sum of -log(1 - p(label)) over the compared tokens of the undesired
                          ///< rows (0 elsewhere); undefined unless asked for
};

enum class Unlikelihood { kSkip, kCompute };

/// At least one row must be used.
ScoredOutputs score_outputs(const T5& model, const Batch& batch, const UsedRows& used, Unlikelihood unlikelihood,
                            std::optional<DropoutKey> dropout);

/// Where the labels of the used rows are, and which.
struct Labels {
  std::int64_t T = 0, R = 0;
  at::Tensor position_P, target_P;  ///< int64
};
Labels labels_of(const Batch& batch, const UsedRows& used);
/// From the logits at the labels' positions, of any floating type.
ScoredOutputs score_logits(const at::Tensor& logits_PV, const Labels& labels, const UsedRows& used,
                           Unlikelihood unlikelihood);

}  // namespace plumbline
