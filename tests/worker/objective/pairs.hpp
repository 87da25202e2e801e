// Preferences with logits in place of a model.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "worker/objective/assembly.hpp"
#include "worker/objective/terms.hpp"

namespace plumbline {

/// Token ids of outputs.
using LabelRows = std::vector<std::vector<std::int64_t>>;

/// Preferences with logits in place of a model.
struct Pairs {
  Batch batch;
  at::Tensor logits_RTV[2];  ///< of desired and undesired outputs, fp64
  ReferenceLogProbs reference;
  NormTotals totals;

  Pairs(const LabelRows& desired, const LabelRows& undesired) {
    for (std::size_t b = 0; b < desired.size(); ++b) {
      batch.rows.push_back(static_cast<std::int64_t>(b));
      batch.norm.push_back(0);
      batch.kind.push_back(ExampleKind::kPreference);
      batch.weight.push_back(1.0f);
      const DifferingSpans spans = differing_spans(desired[b], undesired[b]);
      batch.desired.differing.push_back(spans.desired);
      batch.undesired.differing.push_back(spans.undesired);
    }
    fill(batch.desired, desired);
    fill(batch.undesired, undesired);
    totals.examples = totals.preferences = std::ssize(desired);
    for (const auto& row : desired) totals.desired_tokens += std::ssize(row);
    for (const auto& row : undesired) totals.undesired_tokens += std::ssize(row);
  }

  static void fill(OutputTensors& outputs, const LabelRows& rows) {
    std::size_t longest = 0;
    for (const auto& row : rows) longest = std::max(longest, row.size());
    std::vector<std::int64_t> flat;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      outputs.batch_row.push_back(static_cast<std::int64_t>(r));
      outputs.length.push_back(std::ssize(rows[r]));
      for (std::size_t t = 0; t < longest; ++t) flat.push_back(t < rows[r].size() ? rows[r][t] : -100);
    }
    outputs.labels_RT = at::tensor(flat, at::kLong).view({std::ssize(rows), static_cast<std::int64_t>(longest)});
  }

  /// The logits of all rows at their labels, as a model would give them.
  [[nodiscard]] at::Tensor at_labels(const Labels& labels, const UsedRows& used) const {
    std::vector<at::Tensor> sides;
    for (int side = 0; side < 2; ++side) {
      const auto& rows = side == 0 ? used.desired : used.undesired;
      if (rows.empty()) continue;
      const at::Tensor chosen_RTV = logits_RTV[side].index_select(0, at::tensor(rows, at::kLong));
      sides.push_back(labels.T >= chosen_RTV.size(1)
                          ? at::constant_pad_nd(chosen_RTV, {0, 0, 0, labels.T - chosen_RTV.size(1)}, 0.0)
                          : chosen_RTV.narrow(1, 0, labels.T));
    }
    const at::Tensor logits_TRV = at::cat(sides).transpose(0, 1);
    return logits_TRV.reshape({labels.T * labels.R, -1}).index_select(0, labels.position_P);
  }

  /// Examples of all kinds in place of preferences: the rows that have a desired output, and those with an undesired
  /// one.
  void keep(const std::vector<std::size_t>& desired, const std::vector<std::size_t>& undesired) {
    std::vector<int> sides(batch.kind.size(), 0);
    for (const std::size_t b : desired) sides[b] |= 1;
    for (const std::size_t b : undesired) sides[b] |= 2;
    totals = {};
    for (std::size_t b = 0; b < sides.size(); ++b) {
      batch.kind[b] = sides[b] == 3   ? ExampleKind::kPreference
                      : sides[b] == 2 ? ExampleKind::kProhibition
                                      : ExampleKind::kDemonstration;
      ++totals.examples;
      ++(sides[b] == 3 ? totals.preferences : sides[b] == 2 ? totals.prohibitions : totals.demonstrations);
      if (sides[b] & 1) totals.desired_tokens += batch.desired.length[b];
      if (sides[b] & 2) totals.undesired_tokens += batch.undesired.length[b];
    }
  }

  [[nodiscard]] ObjectiveResult compute(const NormObjective& norm, double kl = 0) const {
    const std::vector<NormObjective> norms{norm};
    const UsedRows used = rows_used(batch, norms);
    const Labels labels = labels_of(batch, used);
    const auto scored = score_logits(at_labels(labels, used), labels, used, unlikelihood_used(batch, used, norms));
    return assemble_objective(scored, batch, used, norms, {totals},
                              needs_reference(norm.objective) ? &reference : nullptr, {kl});
  }
};

}  // namespace plumbline
