#include "common/text/norm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace plumbline {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Norm alignment_norm() {
  Norm norm;
  norm.name = "valid";
  norm.rules.alignment = true;
  norm.fallback = "left_justified";
  norm.score = ScoreKind::kColumn;
  return norm;
}

Json polite() {
  return {{"name", "polite"}, {"objective", "dpo"}, {"judge", "rules"}, {"rules", {{"forbidden_words", {"fool"}}}}};
}

std::string refusal(const Json& json) {
  const auto result = norm_from_json(json, "dataset.json");
  if (result) return "no error";
  EXPECT_EQ(result.error().code, ErrorCode::kData);
  return to_string(result.error());
}

TEST(NormJson, ComesBackWhole) {
  Norm norm;
  norm.name = "polite";
  norm.description = "No insult is left, “ever”.";
  norm.objective = Objective::kDpo;
  norm.weight = 0.5;
  norm.judge = JudgeKind::kClassifier;
  norm.classifier_file = "polite.classifier";
  norm.classifier_accuracy = 0.93;
  norm.rules.forbidden_words = {"fool", "idiot"};
  norm.rules.forbidden_patterns = {"x+"};
  norm.rules.required_patterns = {"y"};
  norm.rules.min_characters = 1;
  norm.rules.max_characters = 9;
  norm.rules.not_a_copy = true;
  norm.fallback = "text:I would rather not say.";
  const Norm back = norm_from_json(to_json(norm), "dataset.json").value();
  EXPECT_EQ(to_json(back), to_json(norm));
  EXPECT_EQ(back.rules.max_characters, 9);
  EXPECT_EQ(back.classifier_accuracy, 0.93);
  EXPECT_EQ(back.fallback, norm.fallback);

  const Norm aligned = norm_from_json(to_json(alignment_norm()), "dataset.json").value();
  EXPECT_TRUE(aligned.rules.alignment);
  EXPECT_FALSE(aligned.rules.no_staggered_gaps);
  Norm strict = alignment_norm();
  strict.rules.no_staggered_gaps = true;
  EXPECT_TRUE(norm_from_json(to_json(strict), "dataset.json").value().rules.no_staggered_gaps);
  Json without = polite();
  without["rules"]["no_staggered_gaps"] = true;
  EXPECT_THAT(refusal(without), HasSubstr("needs the rule alignment"));
  EXPECT_EQ(aligned.score, ScoreKind::kColumn);
}

TEST(NormJson, LeftOutKeysKeepTheirDefaults) {
  const Norm norm = norm_from_json(polite(), "dataset.json").value();
  EXPECT_EQ(norm.weight, 1);
  EXPECT_EQ(norm.fallback, "source");
  EXPECT_EQ(norm.score, ScoreKind::kChrf);
}

TEST(NormJson, RefusesWhatIsWrong) {
  const std::pair<const char*, Json> wrong[] = {{"name", 7},
                                                {"name", ""},
                                                {"description", Json::array()},
                                                {"objective", "ppo"},
                                                {"weight", -1},
                                                {"weight", "1"},
                                                {"judge", "people"},
                                                {"judge", "classifier"},
                                                {"rules", Json(7)},
                                                {"fallback", "none"},
                                                {"fallback", "left_justified"},
                                                {"score", "column"},
                                                {"score", "bleu"},
                                                {"classifier_accuracy", 2}};
  for (const auto& [key, value] : wrong) {
    Json json = polite();
    json[key] = value;
    EXPECT_THAT(refusal(json), AllOf(HasSubstr("dataset.json"), testing::Not(HasSubstr("no error"))))
        << key << " " << value;
  }
  for (const char* key : {"name", "objective"}) {
    Json json = polite();
    json.erase(key);
    EXPECT_THAT(refusal(json), HasSubstr(key));
  }
  EXPECT_THAT(refusal(Json::array()), HasSubstr("object"));
}

TEST(NormJson, RefusesWrongRules) {
  const std::pair<const char*, Json> wrong[] = {{"forbidden_words", "fool"},  {"forbidden_words", {1}},
                                                {"min_characters", -1},       {"max_characters", 1e30},
                                                {"not_a_copy", "yes"},        {"alignment", 1},
                                                {"source_encoding", "criss"}, {"target_encoding", "pairs"}};
  for (const auto& [key, value] : wrong) {
    Json json = polite();
    json["rules"][key] = value;
    EXPECT_THAT(refusal(json), HasSubstr("norm polite: rules")) << key << " " << value;
  }
  Json json = polite();
  json["rules"]["min_characters"] = 5;
  json["rules"]["max_characters"] = 4;
  EXPECT_THAT(refusal(json), HasSubstr("min_characters"));
  json = polite();
  json["rules"]["forbiden_words"] = {"x"};
  EXPECT_THAT(refusal(json), AllOf(HasSubstr("forbiden_words"), HasSubstr("Did you mean forbidden_words?")));
}

TEST(NormJson, AClassifierLiesInTheDatasetFolder) {
  for (const char* file : {"", ".", "..", "../x", "/etc/passwd", "a/b"}) {
    Json json = polite();
    json["judge"] = "classifier";
    json["classifier_file"] = file;
    EXPECT_THAT(refusal(json), HasSubstr("classifier_file")) << file;
  }
}

TEST(Fallback, IsWhatTheNormSays) {
  Norm norm;
  EXPECT_EQ(fallback_output(norm, "the source"), "the source");
  norm.fallback = "text:sorry";
  EXPECT_EQ(fallback_output(norm, "the source"), "sorry");
  const std::string aligned = fallback_output(alignment_norm(), "AAG|ACGG|ACG");
  EXPECT_EQ(aligned, "AAAACCGGG-G-");
  EXPECT_FALSE(make_judge(alignment_norm(), "").value()->judge("AAG|ACGG|ACG", aligned).undesirable);
}

TEST(DesiredScore, IsChrfForText) { EXPECT_DOUBLE_EQ(desired_score(Norm{}, "s", "ab", "abc"), chrf("ab", "abc")); }

TEST(DesiredScore, IsTheColumnScoreForAlignments) {
  const Norm norm = alignment_norm();
  EXPECT_DOUBLE_EQ(desired_score(norm, "AAG|ACGG|ACG", "AAAACC-G-GGG", "AAAACC-G-GGG"), 1);
  EXPECT_DOUBLE_EQ(desired_score(norm, "AAG|ACGG|ACG", "AAAACCGGG-G-", "AAAACC-G-GGG"), 0.5);
  EXPECT_DOUBLE_EQ(desired_score(norm, "AAG|ACGG|ACG", "AAAACC-G-GG", "AAAACC-G-GGG"), 0) << "ragged";
  EXPECT_DOUBLE_EQ(desired_score(norm, "AAG|ACGG|ACG", "AAAACC-T-GGG", "AAAACC-G-GGG"), 0) << "another residue";
}

}  // namespace
}  // namespace plumbline
