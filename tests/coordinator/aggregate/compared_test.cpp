#include "coordinator/aggregate/compared.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "common/core/files.hpp"
#include "coordinator/aggregate/aggregate.hpp"
#include "coordinator/aggregate/judged.hpp"
#include "coordinator/journal/journal.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

EvaluationRow answer(std::int64_t number, const std::string& output) {
  EvaluationRow row;
  row.row = number;
  row.id = std::to_string(number);
  row.norm = "polite";
  row.source = "greet";
  row.desired = "hello";
  row.output = output;
  return row;
}

std::set<ExampleKey> keys(const std::vector<int>& ids) {
  std::set<ExampleKey> keys;
  for (const int id : ids) keys.insert({"polite", std::to_string(id)});
  return keys;
}

class ComparedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::path(PLUMBLINE_BINARY_DIR) / "test-compared" / test->name();
    fs::remove_all(root_);
  }

  /// A run that answered rows 0 to 9; `end` is its last journal event.
  RunLayout make_run(const std::string& name, const std::string& end, int rows = 10) {
    const RunLayout layout(root_ / name);
    fs::create_directories(layout.evaluation());
    Journal journal = Journal::open(layout).value();
    journal.append("run_created", Json::object()).value();
    journal.append("coordinator_started", Json::object()).value();
    journal.append("checkpoint_committed", {{"step", 7}, {"weights_sha256", "w"}}).value();
    if (!end.empty()) journal.append(end, {{"step", 7}}).value();
    std::vector<EvaluationRow> answers;
    for (int i = 0; i < rows; ++i) answers.push_back(answer(i, i < 5 ? "you fool" : "hello"));
    write_evaluation(layout.evaluation_rows(Step(0)), answers).value();
    write_evaluation(layout.evaluation_rows(Step(7)), answers).value();
    return layout;
  }

  std::string error_of(const std::string& name, const std::string& folder) {
    const auto read = read_compared({{name, (root_ / folder).string()}});
    return read.has_value() ? "no error" : to_string(read.error());
  }
  fs::path root_;
};

TEST_F(ComparedTest, ReadsTheFinalEvaluationOfAFinishedRun) {
  make_run("other", "run_finished");
  const auto read = read_compared({{"continued", (root_ / "other").string()}});
  ASSERT_TRUE(read.has_value()) << to_string(read.error());
  EXPECT_EQ(read->at("continued").size(), 10u);
  EXPECT_TRUE(check_answered(*read, keys({0, 4, 9})).has_value()) << "it may have answered more";
  EXPECT_TRUE(read_compared({})->empty());
}

TEST_F(ComparedTest, RefusesARunThatCannotBeComparedAndNamesTheKey) {
  make_run("stopped", "run_stopped");
  make_run("going-on", "");
  EXPECT_THAT(error_of("continued", "stopped"),
              AllOf(HasSubstr("compare.continued"), HasSubstr("is not finished"), HasSubstr("plumbline resume")));
  EXPECT_THAT(error_of("continued", "going-on"), HasSubstr("is not finished"));
  EXPECT_THAT(error_of("x", "nowhere"), HasSubstr("there is no run at"));
  const RunLayout gone = make_run("gone", "run_finished");
  fs::remove(gone.evaluation_rows(Step(7)));
  EXPECT_THAT(error_of("x", "gone"), HasSubstr("step-00000007"));
}

TEST_F(ComparedTest, RefusesOtherExamples) {
  make_run("other", "run_finished");
  auto compared = read_compared({{"continued", (root_ / "other").string()}}).value();
  compared["continued"][2].output.reset();  // only scored
  const Status refused = check_answered(compared, keys({1, 2, 3, 10}));
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(refused.error()),
              AllOf(HasSubstr("compare.continued"), HasSubstr("did not answer 2 of the 4"), HasSubstr("seed")));
  EXPECT_TRUE(check_answered(compared, {{"rude", "1"}}).has_error()) << "the same example, but of another norm";
}

TEST_F(ComparedTest, TheSummaryHoldsTheComparedRun) {
  make_run("other", "run_finished");
  const RunLayout layout = make_run("run", "");
  std::vector<EvaluationRow> aligned;
  for (int i = 0; i < 10; ++i) aligned.push_back(answer(i, i < 2 ? "you fool" : "hello"));
  write_evaluation(layout.evaluation_rows(Step(9)), aligned).value();
  RunConfig config;
  config.data = "d";
  config.compare["continued"] = (root_ / "other").string();
  write_file_atomically(layout.config(), to_yaml(config)).value();
  DatasetInfo info;
  info.norms.resize(1);
  info.norms[0].name = "polite";
  info.norms[0].rules.forbidden_words = {"fool"};
  const Status written = write_summary(layout, info, root_, Step(9), "abc");
  ASSERT_TRUE(written.has_value()) << to_string(written.error());
  const Json norm = read_json_file(layout.summary()).value().at("norms").at("polite");
  EXPECT_EQ(norm.at("comparators"), Json({"base", "rules", "continued", "aligned"}));
  EXPECT_DOUBLE_EQ(norm.at("continued").at("undesirable_rate"), 0.5);
  EXPECT_DOUBLE_EQ(norm.at("differences").at("continued").at("undesirable_rate"), -0.3);
  const Judged judged = read_judged(layout).value();
  EXPECT_EQ(judged.rows.at(0).others.at("continued").text, "you fool");
  EXPECT_TRUE(judged.rows.at(0).others.at("continued").verdict.undesirable);

  // Another dataset may hold the same examples in another order.
  auto moved = read_evaluation(RunLayout(root_ / "other").evaluation_rows(Step(7))).value();
  for (EvaluationRow& row : moved) row.row = 9 - row.row;
  std::reverse(moved.begin(), moved.end());
  write_evaluation(RunLayout(root_ / "other").evaluation_rows(Step(7)), moved).value();
  ASSERT_TRUE(write_summary(layout, info, root_, Step(9), "abc").has_value());
  EXPECT_EQ(read_judged(layout).value().rows.at(0).others.at("continued").text, "you fool");

  make_run("short", "run_finished", 9);
  config.compare["continued"] = (root_ / "short").string();
  write_file_atomically(layout.config(), to_yaml(config)).value();
  EXPECT_THAT(to_string(write_summary(layout, info, root_, Step(9), "abc").error()),
              HasSubstr("did not answer 1 of the 10"));
}

}  // namespace
}  // namespace plumbline
