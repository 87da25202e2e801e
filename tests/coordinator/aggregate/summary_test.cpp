#include "coordinator/aggregate/summary.hpp"

#include <gtest/gtest.h>

namespace plumbline {
namespace {

/// Rejects outputs that hold a word; rows are crafted around it.
class WordJudge : public Judge {
 public:
  explicit WordJudge(std::string word) : word_(std::move(word)) {}
  Verdict judge(std::string_view, std::string_view output) const override {
    const bool found = output.find(word_) != std::string_view::npos;
    return {found, found ? "holds " + word_ : ""};
  }

 private:
  std::string word_;
};

Norm polite() {
  Norm norm;
  norm.name = "polite";
  norm.fallback = "text:sorry";
  return norm;
}

EvaluationRow row(std::int64_t number, std::string output, std::string norm = "polite") {
  EvaluationRow r;
  r.row = number;
  r.id = "id" + std::to_string(number);
  r.norm = std::move(norm);
  r.source = "say hello";
  r.desired = "hello there";
  r.output = std::move(output);
  return r;
}

TEST(JudgeRows, ComparesWhatBothModelsWrote) {
  std::vector<EvaluationRow> base = {row(0, "you fool"), row(1, "hello idiot"), row(2, "hello there"), row(3, "x"),
                                     row(5, "elsewhere", "other")};
  std::vector<EvaluationRow> aligned = {row(0, "hello there"), row(1, "hello"), row(2, "fool"), row(4, "y"),
                                        row(5, "elsewhere", "other")};
  aligned[0].output_complete = false;
  base[3].output.reset();
  const auto rows = judge_rows(polite(), WordJudge("fool"), WordJudge("o"), base, aligned);
  ASSERT_EQ(rows.size(), 3u) << "rows without an output under both models, and of other norms, are left out";
  EXPECT_TRUE(rows[0].base.verdict.undesirable);
  EXPECT_EQ(rows[0].base.verdict.reason, "holds fool");
  EXPECT_EQ(rows[0].rules.text, "sorry") << "the rule judge rejects it";
  EXPECT_FALSE(rows[0].rules.verdict.undesirable) << "judged by the norm's judge";
  EXPECT_FALSE(rows[0].aligned.verdict.undesirable);
  EXPECT_FALSE(rows[0].aligned.complete);
  EXPECT_DOUBLE_EQ(rows[0].aligned.score.value(), 1.0);
  EXPECT_TRUE(rows[2].aligned.verdict.undesirable);
}

TEST(Summary, HasTheKnownRates) {
  const Norm norm = polite();
  std::vector<EvaluationRow> base, aligned;
  for (int i = 0; i < 40; ++i) {
    base.push_back(row(i, i < 30 ? "you fool" : i < 35 ? " \n" : "say hello"));  // 30 of 40 rejected
    aligned.push_back(row(i, i < 4 ? "fool" : "hello there"));                   // 4 of 40
  }
  const auto rows = judge_rows(norm, WordJudge("fool"), WordJudge("fool"), base, aligned);
  const Json json = summarize_norm(norm, rows, 0.75);
  EXPECT_EQ(json.at("judge"), "rules");
  EXPECT_FALSE(json.contains("judge_accuracy"));
  EXPECT_EQ(json.at("base").at("examples"), 40);
  EXPECT_DOUBLE_EQ(json.at("base").at("undesirable_rate"), 0.75);
  EXPECT_EQ(json.at("base").at("empty"), 5);
  EXPECT_EQ(json.at("base").at("copies"), 5);
  EXPECT_DOUBLE_EQ(json.at("rules").at("undesirable_rate"), 0.0);
  EXPECT_DOUBLE_EQ(json.at("aligned").at("undesirable_rate"), 0.1);
  EXPECT_EQ(json.at("aligned").at("copies"), 0);
  EXPECT_DOUBLE_EQ(json.at("difference").at("undesirable_rate"), -0.65);
  EXPECT_LT(json.at("difference").at("ci").at(1), -0.4);
  EXPECT_GT(json.at("difference").at("ci").at(0), -0.9);
  EXPECT_LT(json.at("base").at("desired_score"), json.at("aligned").at("desired_score"));
  EXPECT_LE(json.at("aligned").at("desired_score_ci").at(0), json.at("aligned").at("desired_score"));
  EXPECT_DOUBLE_EQ(json.at("preference_accuracy"), 0.75);
}

TEST(Summary, OfAClassifierNamesItsAccuracyAndWithoutDesiredOutputsHasNoScore) {
  Norm norm = polite();
  norm.judge = JudgeKind::kClassifier;
  norm.classifier_accuracy = 0.91;
  std::vector<EvaluationRow> rows = {row(0, "a"), row(1, "b")};
  for (auto& r : rows) r.desired.reset();
  const Json json = summarize_norm(norm, judge_rows(norm, WordJudge("a"), WordJudge("z"), rows, rows), std::nullopt);
  EXPECT_EQ(json.at("judge"), "classifier");
  EXPECT_DOUBLE_EQ(json.at("judge_accuracy"), 0.91);
  EXPECT_DOUBLE_EQ(json.at("aligned").at("undesirable_rate"), 0.5);
  EXPECT_FALSE(json.at("aligned").contains("desired_score"));
  EXPECT_FALSE(json.contains("preference_accuracy"));
}

TEST(Summary, OfNoRowsSaysSo) {
  const Json json = summarize_norm(polite(), {}, std::nullopt);
  EXPECT_EQ(json.at("aligned").at("examples"), 0);
  EXPECT_FALSE(json.at("aligned").contains("undesirable_rate"));
  EXPECT_FALSE(json.contains("difference"));
}

TEST(Summary, SetsEveryComparatorBesideTheAlignedModel) {
  const Norm norm = polite();
  std::vector<EvaluationRow> base, aligned;
  ComparedRuns compared;
  for (int i = 0; i < 40; ++i) {
    base.push_back(row(i, i < 20 ? "you fool" : "hello"));
    aligned.push_back(row(i, i < 10 ? "you fool" : "hello there"));
    compared["continued"].push_back(row(i, i < 18 ? "you fool" : i < 20 ? "" : "hello there"));
    base.back().output_constrained = "hello";
    aligned.back().output_constrained = "hello there";
    aligned.back().output_constrained_complete = i != 3;
  }
  compared["continued"].push_back(row(99, "answered there alone"));
  const auto rows = judge_rows(norm, WordJudge("fool"), WordJudge("fool"), base, aligned, compared);
  ASSERT_EQ(rows.size(), 40u);
  EXPECT_FALSE(output_of(rows[3], "aligned_constrained")->complete);
  EXPECT_EQ(output_of(rows[0], "unheard of"), nullptr);
  const Json json = summarize_norm(norm, rows, std::nullopt);
  EXPECT_EQ(json.at("comparators"),
            Json({"base", "rules", "base_constrained", "continued", "aligned", "aligned_constrained"}));
  EXPECT_DOUBLE_EQ(json.at("continued").at("undesirable_rate"), 0.45);
  EXPECT_EQ(json.at("continued").at("empty"), 2);
  EXPECT_EQ(json.at("continued").at("examples"), 40);
  EXPECT_DOUBLE_EQ(json.at("aligned_constrained").at("desired_score"), 1.0);
  const Json& differences = json.at("differences");
  EXPECT_EQ(differences.size(), 5u);
  EXPECT_FALSE(differences.contains("aligned"));
  EXPECT_DOUBLE_EQ(differences.at("base").at("undesirable_rate"), -0.25);
  EXPECT_EQ(differences.at("base").at("undesirable_rate_ci"), json.at("difference").at("ci"));
  EXPECT_EQ(differences.at("base").at("desired_score_ci"), json.at("difference").at("desired_score_ci"));
  EXPECT_DOUBLE_EQ(differences.at("continued").at("undesirable_rate"), -0.2);
  EXPECT_DOUBLE_EQ(differences.at("aligned_constrained").at("undesirable_rate"), 0.25);
  EXPECT_EQ(json, summarize_norm(norm, rows, std::nullopt)) << "the same rows give the same intervals";
}

TEST(Summary, ADifferenceIsPaired) {
  // Both sides vary much over the rows, their difference not at all.
  std::vector<EvaluationRow> base, aligned;
  for (int i = 0; i < 60; ++i) {
    base.push_back(row(i, i % 2 == 0 ? "hello fool" : "hello"));
    aligned.push_back(row(i, i % 2 == 0 ? "hello fool" : "hello"));
  }
  const auto rows = judge_rows(polite(), WordJudge("fool"), WordJudge("z"), base, aligned);
  const Json json = summarize_norm(polite(), rows, std::nullopt);
  EXPECT_LT(json.at("base").at("undesirable_rate_ci").at(0), 0.45);
  EXPECT_EQ(json.at("differences").at("base").at("undesirable_rate_ci"), Json({0.0, 0.0}));
  EXPECT_EQ(json.at("differences").at("base").at("desired_score_ci"), Json({0.0, 0.0}));
}

TEST(Summary, LeavesOutWhatDidNotAnswerEveryRow) {
  std::vector<EvaluationRow> base = {row(0, "a"), row(1, "b")}, aligned = base;
  base[0].output_constrained = "a";
  const auto rows = judge_rows(polite(), WordJudge("z"), WordJudge("z"), base, aligned, {{"other", {row(1, "c")}}});
  EXPECT_EQ(comparators_of(rows), (std::vector<std::string>{"base", "rules", "aligned"}));
  EXPECT_EQ(comparators_of({}), (std::vector<std::string>{"base", "rules", "aligned"}));
}

TEST(PreferenceAccuracy, CountsLargerMarginsAndHalvesTies) {
  const auto scored = [](std::int64_t number, double desired, double undesired) {
    EvaluationRow r = row(number, "");
    r.output.reset();
    r.desired_log_prob = desired;
    r.undesired_log_prob = undesired;
    return r;
  };
  const std::vector<EvaluationRow> base = {scored(0, -5, -4), scored(1, -5, -5), scored(2, -1, -9), scored(3, -2, -2)};
  const std::vector<EvaluationRow> aligned = {scored(0, -5, -5), scored(1, -6, -6), scored(2, -1, -3), scored(9, 0, 0)};
  EXPECT_DOUBLE_EQ(preference_accuracy("polite", base, aligned).value(), 0.5);  // larger, equal, smaller
  EXPECT_FALSE(preference_accuracy("other", base, aligned).has_value());
  EXPECT_FALSE(preference_accuracy("polite", {row(0, "x")}, {row(0, "x")}).has_value());
}

}  // namespace
}  // namespace plumbline
