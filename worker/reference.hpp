// Log-probs of outputs under the frozen model that a run starts from: what dpo, ipo and kto compare with. Computed
// once, shared over the ranks in batches that the plan cuts, kept in RUN/reference/<key>.h5 and read again on resume.
// The key is a hash of all that the numbers depend on (weights, data, cut lengths, batches, fingerprint), so a stale
// file is never read.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/dataset.hpp"
#include "worker/collective/collective.hpp"
#include "worker/objective/objective.hpp"

namespace plumbline {

/// By row of a split; NaN where none was asked for or the side is absent. Sums over all tokens of an output, and over
/// those that differ from the row's other output (all of them when there is no other).
struct RowLogProbs {
  std::vector<float> desired, undesired;
  std::vector<float> desired_differing, undesired_differing;
  std::vector<float> mismatched;  ///< kto: of another row's output given this row's source (make_mismatched_batch)
  /// In the order of the batch's output rows, as compute_objective takes them.
  [[nodiscard]] ReferenceLogProbs of(const Batch& batch) const;
};
struct References {
  RowLogProbs train, held_out;
};

struct ReferenceWork {
  const Dataset* dataset = nullptr;
  std::vector<std::int64_t> train_rows, held_out_rows;  ///< rows whose outputs are scored
  std::vector<bool> mismatched_norms;                   ///< by norm: are `mismatched` log-probs needed? Empty: of none
  int max_source_tokens = 0, max_output_tokens = 0, batch_rows = 32;
  std::string fingerprint;
};

/// SHA-256 of the flat parameters.
std::string weights_hash(const T5& model);
/// 64 hex digits: the file's name.
std::string reference_key(const T5& start, const ReferenceWork& work);
/// All ranks together.
Result<References> compute_references(const T5& start, const ReferenceWork& work, Collective& collective);
/// Whole or absent. The folder is made.
Status write_references(const std::filesystem::path& file, const References& references);
/// Refuses a file whose sizes are not the dataset's.
Result<References> read_references(const std::filesystem::path& file, const Dataset& dataset);

}  // namespace plumbline
