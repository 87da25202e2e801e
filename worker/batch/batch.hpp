// A micro-batch as tensors. Rows are padded to the longest of the micro-batch; labels are -100 where padded (HF's
// habit). A source that is too long loses its left end (of a dialogue the last turns matter, and EOS stays); an output
// that is too long loses its right end, EOS with it, so nothing teaches the model to stop where a limit fell. Pure; any
// thread; nothing fails, since a Split's bounds were checked when it was opened.
#pragma once
#include <cstdint>
#include <vector>

#include "common/data/dataset.hpp"
#include "common/data/plan.hpp"
#include "worker/batch/differing.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline {

/// One side's outputs for the rows that have that side.
struct OutputTensors {
  at::Tensor input_RT;                  ///< int64, labels shifted right, starts with pad (0)
  at::Tensor labels_RT;                 ///< int64, -100 where padded
  std::vector<std::int64_t> batch_row;  ///< R entries: which row of the batch (source) each belongs to
  std::vector<std::int64_t> length;     ///< R entries: labels of each
  std::vector<TokenSpan> differing;     ///< R entries: where each differs from the other output of its row; all of it
                                        ///< when the row has no other output
  [[nodiscard]] std::int64_t rows() const { return static_cast<std::int64_t>(batch_row.size()); }
};

/// Sources padded to the longest.
struct SourceTensors {
  at::Tensor tokens_BS, mask_BS;  ///< int64, pad (0) behind each; bool, true: a token, whatever its id
};
SourceTensors source_tensors(const std::vector<std::vector<std::int64_t>>& sources, at::Device device);
/// Takes the left end off a source of more than `limit` tokens; true when it did.
bool cut_source(std::vector<std::int64_t>& tokens, int limit);

struct Batch {
  std::vector<std::int64_t> rows;        ///< rows of the split
  at::Tensor source_BS, source_mask_BS;  ///< int64; bool
  OutputTensors desired, undesired;      ///< rows() == 0 when no row has that side
  std::vector<std::uint16_t> norm;       ///< B
  std::vector<ExampleKind> kind;         ///< B
  std::vector<float> weight;             ///< B
};

Batch make_batch(const Split& split, const std::vector<std::int64_t>& rows, int max_source_tokens,
                 int max_output_tokens, at::Device device);

/// Each row's source with another row's output, `partners` by row of the split: the desired one if there is one, else
/// the undesired one. It stands on the desired side, and every row is a demonstration.
Batch make_mismatched_batch(const Split& split, const std::vector<std::int64_t>& rows,
                            const std::vector<std::int64_t>& partners, int max_source_tokens, int max_output_tokens,
                            at::Device device);

}  // namespace plumbline
