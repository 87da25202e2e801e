#include "worker/kl.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "common/core/check.hpp"
#include "worker/batch/batch.hpp"
#include "worker/share.hpp"

namespace plumbline {

KlRows::KlRows(const Split& split, const std::vector<NormObjective>& norms, const RowLogProbs* references,
               const TrainConfig& train)
    : split_(split), norms_(norms), references_(references), train_(train) {
  for (const NormObjective& norm : norms) any_ |= norm.objective == Objective::kKto;
  if (any_) partners_ = partners_of(split, norms.size());
}

void KlRows::add(const T5& model, const std::vector<std::int64_t>& rows, double* sums) const {
  std::vector<std::int64_t> together;
  for (const std::int64_t row : rows) {
    if (norms_[split_.norm(row)].objective != Objective::kKto) continue;
    together.push_back(row);
    if (together.size() == 1 || padded_tokens(together) <= train_.micro_batch_tokens) continue;
    together.pop_back();  // Another example's output may be longer than the row's own.
    add_together(model, together, sums);
    together = {row};
  }
  if (!together.empty()) add_together(model, together, sums);
}

std::int64_t KlRows::padded_tokens(const std::vector<std::int64_t>& rows) const {
  int source = 0, output = 0;
  for (const std::int64_t row : rows) {
    const std::int64_t partner = partners_[static_cast<std::size_t>(row)];
    const int desired = split_.length(partner, Side::kDesired);
    source = std::max(source, std::min(split_.length(row, Side::kSource), train_.max_source_tokens));
    output = std::max(
        output, std::min(desired > 0 ? desired : split_.length(partner, Side::kUndesired), train_.max_output_tokens));
  }
  return std::ssize(rows) * (source + output);
}

void KlRows::add_together(const T5& model, const std::vector<std::int64_t>& rows, double* sums) const {
  PLUMBLINE_CHECK(references_ != nullptr, "kto needs the reference model's log-probs");
  const ReferenceLogProbs scores =
      score(model, make_mismatched_batch(split_, rows, partners_, train_.max_source_tokens, train_.max_output_tokens,
                                         model.parameters().flat().device()));
  for (std::size_t i = 0; i < rows.size(); ++i)
    sums[split_.norm(rows[i])] +=
        static_cast<double>(scores.desired[i]) - static_cast<double>(references_->at(rows[i]).mismatched);
}

std::vector<double> KlRows::means(const double* sums, const std::vector<NormTotals>& totals) {
  std::vector<double> means;
  for (std::size_t n = 0; n < totals.size(); ++n)
    means.push_back(totals[n].examples == 0 ? 0.0 : std::max(0.0, sums[n] / static_cast<double>(totals[n].examples)));
  return means;
}

Result<std::vector<double>> kl_of_batches(const T5& model, const KlRows& kl,
                                          const std::vector<std::vector<std::int64_t>>& batches,
                                          const std::vector<NormTotals>& totals, Collective& collective) {
  if (!kl.any()) return std::vector<double>();
  std::vector<double> total(totals.size(), 0.0), part(total.size());
  PLUMBLINE_ASSIGN(const auto parts, share_batches(collective, batches.size(), [&](std::size_t b) {
                     std::vector<double> sums(totals.size(), 0.0);
                     kl.add(model, batches[b], sums.data());
                     return Result<std::string>(
                         std::string(reinterpret_cast<const char*>(sums.data()), sums.size() * sizeof(double)));
                   }));
  for (const auto& bytes : parts) {  // In the order of batches, on every rank.
    if (bytes.size() != part.size() * sizeof(double)) return run_error("a worker's sums are cut short", "evaluation");
    std::memcpy(part.data(), bytes.data(), bytes.size());
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += part[i];
  }
  return KlRows::means(total.data(), totals);
}

}  // namespace plumbline
