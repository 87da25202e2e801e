#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/text/classifier.hpp"
#include "common/text/norm.hpp"

namespace plumbline {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// The reason; empty when the output is desirable.
std::string verdict(const RuleSet& rules, std::string_view source, std::string_view output) {
  const Verdict v = make_rule_judge(rules, "norm test").value()->judge(source, output);
  EXPECT_EQ(v.undesirable, !v.reason.empty());
  return v.reason;
}

TEST(RuleJudge, WithoutRulesRefusesNothing) { EXPECT_EQ(verdict({}, "a", "a"), ""); }

TEST(RuleJudge, ForbiddenWords) {
  RuleSet rules;
  rules.forbidden_words = {"fool"};
  EXPECT_EQ(verdict(rules, "", "You FOOL!"), "has the forbidden word \"fool\"");
  EXPECT_EQ(verdict(rules, "", "a foolish thing"), "");
}

TEST(RuleJudge, Patterns) {
  RuleSet rules;
  rules.forbidden_patterns = {"password [0-9]+"};
  rules.required_patterns = {"^dear "};
  EXPECT_THAT(verdict(rules, "", "Dear X, PASSWORD 123"),
              AllOf(HasSubstr("\"PASSWORD 123\""), HasSubstr("password [0-9]+")));
  EXPECT_THAT(verdict(rules, "", "X, hello"), AllOf(HasSubstr("lacks"), HasSubstr("^dear ")));
  EXPECT_EQ(verdict(rules, "", "Dear X, hello"), "");
}

TEST(RuleJudge, ABadPatternNamesNormAndPattern) {
  for (const char* pattern : {"(open", "a(?=b)", "(.)\\1", "["}) {
    RuleSet rules;
    rules.required_patterns = {pattern};
    const auto result = make_rule_judge(rules, "norm polite");
    ASSERT_FALSE(result) << pattern;
    EXPECT_EQ(result.error().code, ErrorCode::kData);
    EXPECT_THAT(to_string(result.error()), AllOf(HasSubstr("norm polite"), HasSubstr(pattern)));
  }
  RuleSet rules;
  rules.forbidden_words = {" "};
  EXPECT_FALSE(make_rule_judge(rules, "norm polite"));
}

TEST(RuleJudge, PatternsThatBacktrackElsewhereAreLinear) {
  RuleSet rules;
  rules.forbidden_patterns = {"(a+)+$"};
  EXPECT_EQ(verdict(rules, "", std::string(200'000, 'a') + "b"), "");
}

TEST(RuleJudge, LengthIsInCodePoints) {
  RuleSet rules;
  rules.min_characters = 2;
  rules.max_characters = 3;
  EXPECT_EQ(verdict(rules, "", "é"), "is too short (characters: 1, at least 2 wanted)");
  EXPECT_EQ(verdict(rules, "", "éé…"), "");
  EXPECT_EQ(verdict(rules, "", "abcd"), "is too long (characters: 4, at most 3 wanted)");
}

TEST(RuleJudge, ACopyIsACopyWhateverBlanksAreAround) {
  RuleSet rules;
  rules.not_a_copy = true;
  EXPECT_EQ(verdict(rules, "same", " same\n"), "is a copy of the source");
  EXPECT_EQ(verdict(rules, "same", "Same"), "");
  EXPECT_EQ(verdict(rules, " ", ""), "is a copy of the source");
}

TEST(RuleJudge, AlignmentSaysWhichRow) {
  RuleSet rules;
  rules.alignment = true;
  EXPECT_EQ(verdict(rules, "AAG|ACGG|ACG", "AAAACC-G-GGG"), "");
  EXPECT_EQ(verdict(rules, "AAG|ACGG|ACG", "AAAACC-G-GG"), "its length of 11 does not make 3 rows of equal length");
  EXPECT_EQ(verdict(rules, "AAG|ACGG|ACG", "AAAACC-T-GGG"), "row 2 differs from its sequence at residue 3");
  EXPECT_EQ(verdict(rules, "AC|AC", "AAC-"), "row 2 ends before its sequence does (residues missing: 1)");
  EXPECT_EQ(verdict(rules, "AC|A", "AACC"), "row 2 goes on after the end of its sequence (residues too many: 1)");
  EXPECT_EQ(verdict(rules, "AC|A", ""), "row 1 ends before its sequence does (residues missing: 2)");
}

TEST(RuleJudge, StaggeredGapsAreNamedByTheirColumn) {
  RuleSet rules;
  rules.alignment = true;
  EXPECT_EQ(verdict(rules, "DA|KA", "D--KAA"), "") << "only where it is asked for";
  rules.no_staggered_gaps = true;
  EXPECT_EQ(verdict(rules, "DA|KA", "DKAA"), "");
  EXPECT_EQ(verdict(rules, "ADA|AKA", "AAD--KAA"),
            "one row's gap ends in column 2 and another's begins in the next (staggered gaps)");
  EXPECT_THAT(verdict(rules, "DA|KA", "D--KAG"), HasSubstr("row 2 differs")) << "what is no alignment comes first";
}

class ClassifierJudge : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(dir_); }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  const std::filesystem::path dir_ = std::filesystem::path(testing::TempDir()) / "plumbline-classifier-judge";
};

TEST_F(ClassifierJudge, RefusesFromOneHalfOn) {
  std::vector<NgramClassifier::Row> rows;
  for (int i = 0; i < 20; ++i)
    rows.insert(rows.end(), {{"you fool " + std::to_string(i), true}, {"my friend " + std::to_string(i), false}});
  ASSERT_TRUE(NgramClassifier::train(rows, 1).save(dir_ / "polite.bin"));
  Norm norm;
  norm.name = "polite";
  norm.judge = JudgeKind::kClassifier;
  norm.classifier_file = "polite.bin";
  const auto judge = make_judge(norm, dir_.string()).value();
  const Verdict bad = judge->judge("", "you fool");
  EXPECT_TRUE(bad.undesirable);
  EXPECT_THAT(bad.reason, testing::MatchesRegex("classifier (0\\.[5-9][0-9]|1\\.00)"));
  EXPECT_FALSE(judge->judge("", "my friend").undesirable);

  norm.classifier_file = "absent.bin";
  const auto missing = make_judge(norm, dir_.string());
  ASSERT_FALSE(missing);
  EXPECT_THAT(to_string(missing.error()), HasSubstr("absent.bin"));
}

TEST(MakeJudge, NamesTheNorm) {
  Norm norm;
  norm.name = "polite";
  norm.rules.forbidden_patterns = {"("};
  const auto result = make_judge(norm, "");
  ASSERT_FALSE(result);
  EXPECT_THAT(to_string(result.error()), HasSubstr("norm polite"));
}

}  // namespace
}  // namespace plumbline
