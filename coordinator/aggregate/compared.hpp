// Other finished runs whose final outputs are shown beside a run's own (`compare` in its configuration). They count
// only where they answered all held-out examples that the run answers: then every difference is paired. Examples are
// the same by id, whichever dataset holds them.
#pragma once
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/data/dataset.hpp"
#include "common/record/evaluation.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

/// By name: the rows of the run's final evaluation.
using ComparedRuns = std::map<std::string, std::vector<EvaluationRow>>;

/// Norm and id of an example.
using ExampleKey = std::pair<std::string, std::string>;

/// `runs` is name → run directory. Usage errors that name `compare.NAME`: there is no run, or it is not finished. Data
/// errors: a journal or an evaluation that cannot be read.
Result<ComparedRuns> read_compared(const std::map<std::string, std::string>& runs);

/// A usage error when a run has no output for one of `examples`.
Status check_answered(const ComparedRuns& compared, const std::set<ExampleKey>& examples);

/// The same two before a run begins, for the examples that it will answer at its end.
Status check_compared(const RunConfig& config, const Dataset& dataset);

}  // namespace plumbline
