#include "worker/row_log_probs.hpp"

#include <algorithm>
#include <utility>

namespace plumbline {

RowLogProbs::RowLogProbs(std::vector<std::int64_t> rows) : rows_(std::move(rows)) {
  std::sort(rows_.begin(), rows_.end());
  rows_.erase(std::unique(rows_.begin(), rows_.end()), rows_.end());
  values_.resize(rows_.size());
}

std::size_t RowLogProbs::place_of(std::int64_t row) const {
  const auto it = std::lower_bound(rows_.begin(), rows_.end(), row);
  return it != rows_.end() && *it == row ? static_cast<std::size_t>(it - rows_.begin()) : rows_.size();
}

bool RowLogProbs::holds(std::int64_t row) const { return place_of(row) < rows_.size(); }

RowLogProbs::Values RowLogProbs::at(std::int64_t row) const {
  const std::size_t place = place_of(row);
  return place < rows_.size() ? values_[place] : Values{};
}

void RowLogProbs::set(std::int64_t row, const Values& values) {
  if (const std::size_t place = place_of(row); place < rows_.size()) values_[place] = values;
}

ReferenceLogProbs RowLogProbs::of(const Batch& batch) const {
  ReferenceLogProbs log_probs;
  for (const std::int64_t b : batch.desired.batch_row) {
    const Values values = at(batch.rows[static_cast<std::size_t>(b)]);
    log_probs.desired.push_back(values.desired);
    log_probs.desired_differing.push_back(values.desired_differing);
  }
  for (const std::int64_t b : batch.undesired.batch_row) {
    const Values values = at(batch.rows[static_cast<std::size_t>(b)]);
    log_probs.undesired.push_back(values.undesired);
    log_probs.undesired_differing.push_back(values.undesired_differing);
  }
  return log_probs;
}

}  // namespace plumbline
