// Other finished runs whose final outputs are shown beside a run's own (`compare` in its configuration). They count
// only where they answered the same held-out rows of the same dataset: then every difference is paired.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/data/dataset.hpp"
#include "common/record/evaluation.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

/// By name: the rows of the run's final evaluation.
using ComparedRuns = std::map<std::string, std::vector<EvaluationRow>>;

/// `runs` is name → run directory. Usage errors that name `compare.NAME`: there is no run, it is not finished, it has
/// another dataset than `dataset_hash`. Data errors: a journal or an evaluation that cannot be read.
Result<ComparedRuns> read_compared(const std::map<std::string, std::string>& runs, const std::string& dataset_hash);

/// A usage error when a run has no output for one of `rows` (rows of the held-out split).
Status check_compared_rows(const ComparedRuns& compared, const std::vector<std::int64_t>& rows);

/// The same two before a run begins, for the rows that it will answer at its end.
Status check_compared(const RunConfig& config, const Dataset& dataset);

/// The content hash of the dataset that a run began with, by its journal.
Result<std::string> dataset_hash_of(const RunLayout& layout);

}  // namespace plumbline
