// The numbers of summary.json for one norm, from its judged rows. Pure.
//
// - undesirable_rate: share of outputs that the norm's judge rejects;
// - desired_score: mean desired_score() over the examples that have a desired output (absent when none has);
// - *_ci: 95% interval, percentile bootstrap over examples (1,000 resamples, fixed seed);
// - empty, copies: outputs of whitespace alone, outputs equal to their source;
// - difference: aligned − base over the same examples (paired), with its intervals;
// - comparators: the names of all that answered these examples (comparators_of); each has an object of the above;
// - differences: by name, aligned − that comparator over the same resampled examples (paired), with its intervals;
// - preference_accuracy: share of held-out preferences whose log-probability margin
//   log p(desired | source) − log p(undesired | source) is larger under the trained model than under the start model;
//   ties count half. It is the accuracy of DPO's implicit reward (Rafailov et al. 2023, eq. 5), whose β cancels. Absent
//   when the norm has no such preferences.
#pragma once
#include <optional>
#include <vector>

#include "common/core/json.hpp"
#include "common/record/evaluation.hpp"
#include "coordinator/aggregate/judged.hpp"

namespace plumbline {

std::optional<double> preference_accuracy(const std::string& norm, const std::vector<EvaluationRow>& base,
                                          const std::vector<EvaluationRow>& aligned);

/// The object under "norms"/NAME. `rows` are this norm's. With no rows each model has "examples": 0 and nothing else.
Json summarize_norm(const Norm& norm, const std::vector<JudgedRow>& rows, std::optional<double> accuracy);

}  // namespace plumbline
