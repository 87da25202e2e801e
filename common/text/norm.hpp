// A norm: what an output ought to be, and the judge that decides when one is not. Used by curate (to check and to
// judge examples), and by evaluation (to judge what a model wrote). No torch.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/run_config.hpp"  // Objective
#include "common/core/json.hpp"
#include "common/core/result.hpp"

namespace plumbline {

/// Rules that can be checked mechanically. Every one that is set must hold. Word lists and patterns ignore ASCII case.
struct RuleSet {
  std::vector<std::string> forbidden_words;           ///< whole words
  std::vector<std::string> forbidden_patterns;        ///< RE2 regular expressions; an output must match none
  std::vector<std::string> required_patterns;         ///< an output must match each
  std::optional<int> min_characters, max_characters;  ///< Unicode code points
  bool not_a_copy = false;                            ///< output must differ from its source
  bool alignment = false;                             ///< rows of equal length whose residues are the source's
  bool no_staggered_gaps = false;                     ///< with `alignment`: no gap right beside another row's gap
  std::string source_encoding = "concat";             ///< when `alignment`
  std::string target_encoding = "spaces";
};

enum class JudgeKind { kRules, kClassifier };
enum class ScoreKind { kChrf, kColumn };

struct Norm {
  std::string name;
  std::string description;
  Objective objective = Objective::kSft;
  double weight = 1.0;
  JudgeKind judge = JudgeKind::kRules;
  RuleSet rules;                   ///< judge "rules", and the rule filter in every report
  std::string classifier_file;     ///< judge "classifier": file in the dataset folder, written by curate
  double classifier_accuracy = 0;  ///< on rows that neither trained it nor train the model
  std::string fallback =
      "source";  ///< what the rule filter answers instead of a refused output: "source", "left_justified" or "text:…"
  ScoreKind score = ScoreKind::kChrf;
};

Json to_json(const Norm& norm);
/// Refuses unknown keys, wrong types, values out of bounds, and parts that do not go together (data errors).
Result<Norm> norm_from_json(const Json& json, const std::string& where);

struct Verdict {
  bool undesirable = false;
  std::string reason;  ///< which rule, or "classifier 0.93"; empty when desirable
};

/// Decides whether `output`, written for `source`, breaks a norm. Immutable, thread-safe.
class Judge {
 public:
  virtual ~Judge() = default;
  [[nodiscard]] virtual Verdict judge(std::string_view source, std::string_view output) const = 0;
};
/// The norm's judge. `dataset_dir` is where a classifier's file lies.
Result<std::unique_ptr<Judge>> make_judge(const Norm& norm, const std::string& dataset_dir);
/// Whether each norm's judge can be made: what would otherwise be found out when the training is over.
Status check_judges(const std::vector<Norm>& norms, const std::string& dataset_dir);
/// A judge over `rules` alone (also the rule filter of a norm judged by a classifier).
Result<std::unique_ptr<Judge>> make_rule_judge(const RuleSet& rules, const std::string& where);
/// The rule filter's answer in place of a refused output.
std::string fallback_output(const Norm& norm, std::string_view source);

/// How good an output is, in [0,1]. kChrf: chrF (Popović 2015; n 1..6, β 2, whitespace removed) against `desired`.
/// kColumn: column score of the decoded alignment, 0 when it is invalid.
double desired_score(const Norm& norm, std::string_view source, std::string_view output, std::string_view desired);
/// In [0,1]; 0 when either side has no character but white space.
double chrf(std::string_view hypothesis, std::string_view reference);

}  // namespace plumbline
