// The checks of one example, and those that compare examples.
#include <gmock/gmock.h>

#include "coordinator/curate/classifier_judges.hpp"
#include "coordinator/curate/example_check.hpp"
#include "coordinator/curate/histogram.hpp"
#include "tests/coordinator/curate/curate_fixtures.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

Recipe polite_recipe() {
  Recipe recipe;
  recipe.norms.resize(2);
  recipe.norms[0].norm.name = "polite";
  recipe.norms[0].norm.rules.forbidden_words = {"fool"};
  recipe.norms[1].norm.name = "learned";
  recipe.norms[1].norm.judge = JudgeKind::kClassifier;
  recipe.norms[1].norm.rules.forbidden_words = {"fool"};
  return recipe;
}

Imported imported(std::string source, std::optional<std::string> desired, std::optional<std::string> undesired = {}) {
  Imported example;
  example.source = std::move(source);
  example.desired = std::move(desired);
  example.undesired = std::move(undesired);
  return example;
}

class ExampleChecks : public testing::Test {
 protected:
  Recipe recipe = polite_recipe();
  std::unique_ptr<Tokenizer> tokenizer = std::move(make_tokenizer("byte")).value();
  std::optional<Reason> refuse(const Imported& example, std::size_t norm = 0) {
    return ExampleCheck::make(recipe, *tokenizer).value().refuse(example, norm);
  }
  std::vector<Reason> remarks(const Imported& example, std::size_t norm = 0) {
    return ExampleCheck::make(recipe, *tokenizer).value().remarks(example, norm);
  }
};

TEST_F(ExampleChecks, SayWhyAnExampleIsRefused) {
  EXPECT_EQ(refuse(imported("a", "b", "you fool")), std::nullopt);
  EXPECT_THAT(refuse(imported(" \t\n", "b")), Optional(Reason::kEmptySource));
  EXPECT_THAT(refuse(imported("a", "  ")), Optional(Reason::kEmptyOutput));
  EXPECT_THAT(refuse(imported("a", "b", "")), Optional(Reason::kEmptyOutput));
  EXPECT_THAT(refuse(imported("a", std::nullopt)), Optional(Reason::kEmptyOutput));
  EXPECT_THAT(refuse(imported("a", "b", "b")), Optional(Reason::kDesiredEqualsUndesired));
  EXPECT_THAT(refuse(imported("a", "what a fool")), Optional(Reason::kDesiredBreaksRules));
}

TEST_F(ExampleChecks, OnlyAJudgeOfRulesRefusesADesiredOutput) {
  EXPECT_EQ(refuse(imported("a", "what a fool"), 1), std::nullopt)
      << "beside a classifier the rules are a filter, not the judge";
}

TEST_F(ExampleChecks, CountTokensWithTheEndOfSequence) {
  recipe.max_source_tokens = 4, recipe.max_output_tokens = 3;
  EXPECT_EQ(refuse(imported("abc", "de")), std::nullopt);
  EXPECT_THAT(refuse(imported("abcd", "de")), Optional(Reason::kTooLong));
  EXPECT_THAT(refuse(imported("abc", "def")), Optional(Reason::kTooLong));
  EXPECT_THAT(refuse(imported("abc", "de", "é1")), Optional(Reason::kTooLong)) << "two bytes a letter";
}

TEST_F(ExampleChecks, RemarkOnWhatStays) {
  EXPECT_THAT(remarks(imported("a", "b", "you fool")), IsEmpty());
  EXPECT_THAT(remarks(imported("a", "b", "worse")), ElementsAre(Reason::kUndesiredKeepsRules));
  EXPECT_THAT(remarks(imported("a", "My lamp.", "my  lamp"), 1), ElementsAre(Reason::kSidesDifferInFormOnly));
  EXPECT_THAT(remarks(imported("a", "!", "?"), 1), IsEmpty()) << "no words at all are not the same words";
  EXPECT_THAT(remarks(imported("a", "b"), 1), IsEmpty());
}

TEST_F(ExampleChecks, RefuseSidesThatDifferInFormWhereTheNormSaysSo) {
  recipe.norms[1].ignore_form = true;
  EXPECT_THAT(refuse(imported("a", "My lamp.", "my  lamp"), 1), Optional(Reason::kSidesEqualInWords));
  EXPECT_EQ(refuse(imported("a", "My lamp.", "my camp"), 1), std::nullopt);
}

TEST(PoolChecks, RemoveExactDuplicatesAndKeepTheFirst) {
  Pool pool;
  pool.examples = {pooled("a", "b"), pooled("a", "c"), pooled("a", "b"), pooled("a", "b", "", 1)};
  for (std::size_t i = 0; i < pool.examples.size(); ++i) pool.examples[i].place.line = static_cast<std::int64_t>(i + 1);
  remove_duplicates_and_contradictions(pool);
  ASSERT_EQ(pool.examples.size(), 3u) << "another norm is another example";
  EXPECT_EQ(pool.examples[0].place.line, 1);
  EXPECT_EQ(pool.left_out.count(Reason::kDuplicate), 1);
  EXPECT_EQ(pool.left_out.entries().begin()->second.places[0].line, 3);
}

TEST(PoolChecks, RemoveBothSidesOfAContradiction) {
  Pool pool;
  pool.examples = {pooled("a", "b", "c"), pooled("a", "", "b"), pooled("a", "d", "c"), pooled("x", "", "b"),
                   pooled("a", "", "b", 1)};
  remove_duplicates_and_contradictions(pool);
  EXPECT_EQ(pool.left_out.count(Reason::kOpposingLabels), 2);
  ASSERT_EQ(pool.examples.size(), 3u);
  EXPECT_EQ(pool.examples[0].example.desired, "d") << "two examples may share an undesired output";
}

TEST(LeftOutCounts, KeepABoundedListOfPlaces) {
  LeftOut left_out;
  for (int i = 0; i < 5000; ++i) left_out.add(Reason::kTooLong, {0, 0, i});
  left_out.add(Reason::kUndesiredKeepsRules, {0, 0, 1});
  EXPECT_EQ(left_out.count(Reason::kTooLong), 5000);
  EXPECT_EQ(left_out.entries().begin()->second.places.size(), LeftOut::kMaxPlaces);
  EXPECT_EQ(left_out.total(), 5000) << "a remark leaves nothing out";
}

TEST(ClassifierJudges, AreMeasuredOnOutputsOfTheirOwn) {
  const ScratchFolder folder;
  std::vector<PooledExample> examples;
  Splits splits;
  for (int i = 0; i < 400; ++i) {
    const std::string number = std::to_string(i * 31);
    examples.push_back(pooled("s" + number, "kind words " + number, "ugly words, fool " + number));
    splits.parts.push_back(i % 4 == 0 ? Part::kTrain : i % 4 == 3 ? Part::kJudgeHeldOut : Part::kJudgeTrain);
  }
  std::vector<Norm> norms(1);
  norms[0].name = "polite", norms[0].judge = JudgeKind::kClassifier, norms[0].classifier_file = "polite.judge";
  Recipe recipe;
  recipe.norms.resize(1);
  const auto reports = make_classifiers(examples, splits, recipe, folder.path(), norms);
  ASSERT_TRUE(reports.has_value()) << to_string(reports.error());
  ASSERT_EQ(reports->size(), 1u);
  EXPECT_EQ(reports->at(0).train_outputs, 400);
  EXPECT_EQ(reports->at(0).held_out_outputs, 200);
  EXPECT_DOUBLE_EQ(reports->at(0).majority, 0.5);
  EXPECT_GT(norms[0].classifier_accuracy, 0.95);
  EXPECT_TRUE(std::filesystem::exists(folder / "polite.judge"));
  const auto judge = make_judge(norms[0], folder.path().string());
  ASSERT_TRUE(judge.has_value()) << to_string(judge.error());
  EXPECT_TRUE((*judge)->judge("s", "ugly words, fool").undesirable);
  EXPECT_FALSE((*judge)->judge("s", "kind words").undesirable);
}

TEST(ClassifierJudges, NeedBothLabels) {
  const ScratchFolder folder;
  std::vector<Norm> norms(1);
  norms[0].name = "polite", norms[0].judge = JudgeKind::kClassifier, norms[0].classifier_file = "polite.judge";
  Splits splits;
  splits.parts = {Part::kJudgeTrain, Part::kJudgeHeldOut};
  Recipe recipe;
  recipe.norms.resize(1);
  const auto reports = make_classifiers({pooled("a", "b"), pooled("c", "d")}, splits, recipe, folder.path(), norms);
  ASSERT_FALSE(reports.has_value());
  EXPECT_EQ(reports.error().code, ErrorCode::kData);
  EXPECT_THAT(reports.error().message, HasSubstr("no undesired output"));
}

TEST(Histogram, HasRoundBinsAndEveryLength) {
  EXPECT_EQ(text_histogram({}), "");
  EXPECT_EQ(
      text_histogram({5}), "5  " + [] {
        std::string bar;
        for (int i = 0; i < 40; ++i) bar += "█";
        return bar;
      }() + " 1\n");
  std::vector<std::int32_t> lengths;
  for (int i = 0; i < 1000; ++i) lengths.push_back(20 + i % 37);
  const std::string text = text_histogram(lengths);
  EXPECT_THAT(text, HasSubstr("20 – 24  "));
  EXPECT_THAT(text, HasSubstr("55 – 59  "));
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 12);
  EXPECT_EQ(length_summary({3, 1, 2}), "median 2, 95% at most 2, longest 3");
}

TEST(Histogram, ShowsARareLength) {
  std::vector<std::int32_t> lengths(100'000, 10);
  lengths.push_back(5000);
  EXPECT_THAT(text_histogram(lengths), HasSubstr("▏ 1\n"));
}

}  // namespace
}  // namespace plumbline
