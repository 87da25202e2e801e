// What the judges said of every held-out output: evaluation/judged.json, written beside summary.json. It holds the
// norms too, so that the report (and a person who curates) needs nothing but the run directory.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "common/record/evaluation.hpp"
#include "common/record/run_layout.hpp"
#include "common/text/norm.hpp"
#include "coordinator/aggregate/compared.hpp"

namespace plumbline {

/// One model's output on one held-out example.
struct JudgedOutput {
  std::string text;
  bool complete = true;  ///< false: cut at max_new_tokens, and judged as it stands
  Verdict verdict;
  std::optional<double> score;  ///< desired_score; absent when the example has no desired output
};

struct JudgedRow {
  std::int64_t row = 0;
  std::string id, norm, source;
  std::optional<std::string> desired, undesired;
  JudgedOutput base;     ///< the model the run started from
  JudgedOutput rules;    ///< its output, replaced by fallback_output() where the rule judge rejects it
  JudgedOutput aligned;  ///< the trained model
  /// What else answered this row, by name: base_constrained and aligned_constrained (the two models, held to the norm's
  /// form while they wrote) where the norm has such a form, and each compared run.
  std::map<std::string, JudgedOutput> others;
};

/// The output under the name that summary.json has for it; nullptr when the row has none.
const JudgedOutput* output_of(const JudgedRow& row, const std::string& name);
/// The names under which every one of `rows` has an output, in the order in which people read of them: base, rules,
/// base_constrained, compared runs, aligned, aligned_constrained.
std::vector<std::string> comparators_of(const std::vector<JudgedRow>& rows);

struct Judged {
  std::int64_t step = 0;
  std::vector<Norm> norms;
  std::vector<JudgedRow> rows;  ///< by norm, then in ascending row order
};

/// Judge the rows of `norm` that have an output under both models. `judge` is the norm's judge, `rule_judge` the judge
/// over its rules alone. `compared` are final evaluations of other runs.
std::vector<JudgedRow> judge_rows(const Norm& norm, const Judge& judge, const Judge& rule_judge,
                                  const std::vector<EvaluationRow>& base, const std::vector<EvaluationRow>& aligned,
                                  const ComparedRuns& compared = {});

std::filesystem::path judged_file(const RunLayout& layout);
Status write_judged(const RunLayout& layout, const Judged& judged);
/// A data error that names the file and the key when it is not what write_judged writes.
Result<Judged> read_judged(const RunLayout& layout);

/// JSON text that never fails: broken UTF-8 becomes U+FFFD.
std::string dump_text(const Json& json, int indent = -1);

}  // namespace plumbline
