#include "common/record/evaluation.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

class EvaluationTest : public ScratchTest {
 protected:
  static EvaluationRow preference() {
    EvaluationRow row;
    row.row = 3;
    row.id = "00ff";
    row.norm = "polite";
    row.source = "line one\nline \"two\" é";
    row.desired = "";
    row.undesired = "you fool";
    row.output = "friend";
    row.output_complete = false;
    row.output_constrained = "A-";
    row.output_constrained_complete = false;
    row.desired_log_prob = -1.0 / 3;
    row.undesired_log_prob = -1e-300;
    row.desired_tokens = 1;
    row.undesired_tokens = 9;
    return row;
  }
};

TEST_F(EvaluationTest, RowsComeBackToTheBit) {
  EvaluationRow scored;  // a prohibition that was only scored
  scored.row = 5;
  scored.norm = "no-secret";
  scored.undesired = "password 1";
  scored.undesired_tokens = 11;
  ASSERT_TRUE(write_evaluation(file("e.jsonl"), {preference(), scored}).has_value());
  const auto rows = read_evaluation(file("e.jsonl")).value();
  ASSERT_EQ(rows.size(), 2u);
  const EvaluationRow expected = preference();
  EXPECT_EQ(rows[0].row, expected.row);
  EXPECT_EQ(rows[0].id, expected.id);
  EXPECT_EQ(rows[0].norm, expected.norm);
  EXPECT_EQ(rows[0].source, expected.source);
  EXPECT_EQ(rows[0].desired, expected.desired) << "empty is not absent";
  EXPECT_EQ(rows[0].undesired, expected.undesired);
  EXPECT_EQ(rows[0].output, expected.output);
  EXPECT_EQ(rows[0].output_complete, expected.output_complete);
  EXPECT_EQ(rows[0].output_constrained, expected.output_constrained);
  EXPECT_EQ(rows[0].output_constrained_complete, expected.output_constrained_complete);
  EXPECT_EQ(rows[0].desired_log_prob, expected.desired_log_prob);
  EXPECT_EQ(rows[0].undesired_log_prob, expected.undesired_log_prob);
  EXPECT_EQ(rows[0].desired_tokens, expected.desired_tokens);
  EXPECT_EQ(rows[0].undesired_tokens, expected.undesired_tokens);
  EXPECT_EQ(rows[1].desired, std::nullopt);
  EXPECT_EQ(rows[1].output, std::nullopt);
  EXPECT_TRUE(rows[1].output_complete);
  EXPECT_EQ(rows[1].output_constrained, std::nullopt);
  EXPECT_EQ(rows[1].undesired_log_prob, std::nullopt);
}

TEST_F(EvaluationTest, NoRowsIsAnEmptyFile) {
  ASSERT_TRUE(write_evaluation(file("e.jsonl"), {}).has_value());
  EXPECT_EQ(content("e.jsonl"), "");
  EXPECT_TRUE(read_evaluation(file("e.jsonl")).value().empty());
}

TEST_F(EvaluationTest, ALogProbThatIsNotFiniteIsNoValue) {
  EvaluationRow row = preference();
  row.desired_log_prob = -HUGE_VAL;
  row.undesired_log_prob = NAN;
  ASSERT_TRUE(write_evaluation(file("e.jsonl"), {row}).has_value());
  EXPECT_EQ(read_evaluation(file("e.jsonl")).value()[0].desired_log_prob, std::nullopt);
  EXPECT_EQ(read_evaluation(file("e.jsonl")).value()[0].undesired_log_prob, std::nullopt);
}

TEST_F(EvaluationTest, BytesThatAreNotUtf8StayReadable) {
  EvaluationRow row = preference();
  row.output = "\xff!";
  ASSERT_TRUE(write_evaluation(file("e.jsonl"), {row}).has_value());
  EXPECT_EQ(read_evaluation(file("e.jsonl")).value()[0].output, "\xEF\xBF\xBD!");
}

TEST_F(EvaluationTest, RowsMustAscend) {
  ASSERT_TRUE(write_evaluation(file("e.jsonl"), {preference(), preference()}).has_value());
  EXPECT_THAT(to_string(read_evaluation(file("e.jsonl")).error()), HasSubstr("e.jsonl:2: row 3 does not come after"));
}

TEST_F(EvaluationTest, AWrongLineIsNamed) {
  ASSERT_TRUE(write_evaluation(file("e.jsonl"), {preference()}).has_value());
  const std::string line = content("e.jsonl");
  put("e.jsonl", line.substr(0, line.size() - 1));
  EXPECT_THAT(read_evaluation(file("e.jsonl")).error().message, HasSubstr("cut short"));
  const auto with = [&](const char* from, const char* to) {
    std::string changed = line;
    changed.replace(changed.find(from), std::string(from).size(), to);
    return read_evaluation(put("e.jsonl", changed));
  };
  EXPECT_THAT(to_string(with("\"row\":3", "\"row\":\"3\"").error()), HasSubstr("e.jsonl:1: the key \"row\""));
  EXPECT_TRUE(with("\"row\":3", "\"row\":-3").has_error());
  EXPECT_TRUE(with("\"norm\"", "\"form\"").has_error());
  EXPECT_TRUE(with("\"output_complete\":false", "\"output_complete\":0").has_error());
  EXPECT_TRUE(with("\"output_constrained\":\"A-\"", "\"output_constrained\":7").has_error());
  EXPECT_TRUE(with("\"output_constrained_complete\":false", "\"other\":false").has_error());
  EXPECT_TRUE(with("\"desired_tokens\":1", "\"desired_tokens\":1.5").has_error());
}

}  // namespace
}  // namespace plumbline
