// Log-probs of outputs under the frozen model that a run starts from: what dpo, ipo and kto compare with. They are
// computed once and kept beside the dataset (common/record/reference_part.hpp), under a key of all that they depend on
// beside the rows: the model's parameters and architecture, the tokenizer, the type and the numeric fingerprint. So
// other runs from the same model find them again, and a stale one is never found.
//
// A row's bits depend on the rows that are computed with it, so the groups must not hang on the rows that a run happens
// to use: they are cut from the whole split, by norm and kind of example, among neighbours by length. Whatever the
// steps, the seed or the number of workers, a row is always in the same company. With rows_together = 1 it has none, so
// no row is computed that the run does not use, and nothing is padding. A CPU loses little by that (a pair, one core:
// 4.4 ms instead of 4.0 with the quickstart's model, 76 ms instead of 51 with a T5-small); a GPU would lose much.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/dataset.hpp"
#include "worker/collective/collective.hpp"
#include "worker/objective/objective.hpp"
#include "worker/row_log_probs.hpp"

namespace plumbline {

struct References {
  RowLogProbs train, held_out;
};

struct ReferenceWork {
  const Dataset* dataset = nullptr;
  std::vector<Objective> objectives;                    ///< by norm
  std::vector<std::int64_t> train_rows, held_out_rows;  ///< that the run uses, in any order, of whatever norm
  int max_source_tokens = 0, max_output_tokens = 0, rows_together = 1;
  std::string fingerprint;
  std::vector<std::filesystem::path> folders;    ///< where they may be kept, the first choice first
  std::function<void(const std::string&)> tell;  ///< takes lines for the log, on rank 0
  /// A worker's first part is closed after this time, each later one after twice the time of the one before, up to a
  /// minute: no more than that is lost when it is killed.
  std::chrono::milliseconds first_part{500};
};

/// model.json (worker/reference_folders.hpp).
std::string reference_model(const T5& start, const ReferenceWork& work);
/// Reads what is kept and computes the rest, shared over the ranks, each of which writes parts of its own. A part that
/// is damaged is named, removed, and computed again. All ranks together; the same bits on each of them.
Result<References> prepare_references(const T5& start, const ReferenceWork& work, Collective& collective);

}  // namespace plumbline
