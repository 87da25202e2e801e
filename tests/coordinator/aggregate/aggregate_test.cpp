#include "coordinator/aggregate/aggregate.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "common/record/snapshot.hpp"
#include "coordinator/aggregate/judged.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

class RunFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::path(PLUMBLINE_BINARY_DIR) / "test-aggregate" / test->name();
    fs::remove_all(root_);
    fs::create_directories(RunLayout(root_).snapshots());
    fs::create_directories(RunLayout(root_).evaluation());
  }
  fs::path root_;
};

Snapshot part(std::vector<std::int64_t> indices) {
  Snapshot snapshot;
  snapshot.step = 3;
  snapshot.dimension = 2;
  for (std::int64_t i : indices) {
    snapshot.probe_index.push_back(i);
    snapshot.ids.push_back({1, static_cast<std::uint64_t>(i)});
    snapshot.norms.push_back(0);
    snapshot.vectors.insert(snapshot.vectors.end(), {static_cast<float>(i), 0.5f});
    snapshot.attributes["divergence"].push_back(static_cast<float>(i) / 2);
  }
  return snapshot;
}

TEST_F(RunFolder, MergesPartsOnceAndRemovesThem) {
  const RunLayout layout(root_);
  const Step step(3);
  ASSERT_TRUE(write_snapshot(layout.snapshot_part(step, 0), part({2, 0})).has_value());
  ASSERT_TRUE(write_snapshot(layout.snapshot_part(step, 1), part({1, 3})).has_value());
  // Of an earlier, larger group.
  for (const int rank : {2, 16'383})
    ASSERT_TRUE(write_snapshot(layout.snapshot_part(step, rank), part({1})).has_value());
  ASSERT_TRUE(write_snapshot(layout.snapshot_part(Step(30), 0), part({1})).has_value());  // of another step
  ASSERT_TRUE(write_snapshot(layout.snapshot_part(Step(step.value() + 1), 0), part({1})).has_value());
  const Status merged = aggregate_snapshot(layout, step, 2, 4);
  ASSERT_TRUE(merged.has_value()) << to_string(merged.error());
  EXPECT_TRUE(fs::exists(layout.snapshot_part(Step(30), 0)));
  EXPECT_FALSE(fs::exists(layout.snapshot_part(step, 0)));
  for (const int rank : {2, 16'383}) EXPECT_FALSE(fs::exists(layout.snapshot_part(step, rank)));
  EXPECT_TRUE(fs::exists(layout.snapshot_part(Step(step.value() + 1), 0))) << "another step's";
  const auto snapshot = read_snapshot(layout.snapshot(step));
  ASSERT_TRUE(snapshot.has_value()) << to_string(snapshot.error());
  EXPECT_EQ(snapshot->probe_index, (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(snapshot->vectors[4], 2.0f);
  EXPECT_TRUE(aggregate_snapshot(layout, step, 2, 4).has_value()) << "a second call finds it done";
}

TEST_F(RunFolder, AMissingPartIsAnErrorAndLeavesNothing) {
  const RunLayout layout(root_);
  ASSERT_TRUE(write_snapshot(layout.snapshot_part(Step(3), 0), part({0, 2})).has_value());
  EXPECT_FALSE(aggregate_snapshot(layout, Step(3), 2, 4).has_value()) << "no file of rank 1";
  EXPECT_FALSE(aggregate_snapshot(layout, Step(3), 1, 4).has_value()) << "rows 1 and 3 are missing";
  EXPECT_FALSE(fs::exists(layout.snapshot(Step(3))));
  EXPECT_TRUE(fs::exists(layout.snapshot_part(Step(3), 0)));
}

TEST_F(RunFolder, WhatAKilledCoordinatorLeftIsMergedWhereItIsWhole) {
  const RunLayout layout(root_);
  // Whole, with a part of an earlier, larger group; merged already, but not all parts removed; not whole.
  ASSERT_TRUE(write_snapshot(layout.snapshot_part(Step(3), 0), part({0, 2})).has_value());
  ASSERT_TRUE(write_snapshot(layout.snapshot_part(Step(3), 1), part({1, 3})).has_value());
  ASSERT_TRUE(write_snapshot(layout.snapshot_part(Step(3), 2), part({1})).has_value());
  ASSERT_TRUE(write_snapshot(layout.snapshot(Step(30)), part({0, 1, 2, 3})).has_value());
  ASSERT_TRUE(write_snapshot(layout.snapshot_part(Step(30), 1), part({1, 3})).has_value());
  ASSERT_TRUE(write_snapshot(layout.snapshot_part(Step(31), 0), part({0, 2})).has_value());
  EXPECT_EQ(aggregate_left_snapshots(layout, 4), std::vector<Step>{Step(31)}) << "and says which it is not";
  const auto merged = read_snapshot(layout.snapshot(Step(3)));
  ASSERT_TRUE(merged.has_value()) << to_string(merged.error());
  EXPECT_EQ(merged->probe_index, (std::vector<std::int64_t>{0, 1, 2, 3}));
  for (const auto& [step, rank] : {std::pair(3, 0), std::pair(3, 1), std::pair(3, 2), std::pair(30, 1)})
    EXPECT_FALSE(fs::exists(layout.snapshot_part(Step(step), rank))) << step << " " << rank;
  EXPECT_FALSE(fs::exists(layout.snapshot(Step(31))));
  EXPECT_TRUE(fs::exists(layout.snapshot_part(Step(31), 0)));
}

/// A dataset of one norm with a rule; its shards hold the few rows that opening needs.
Dataset make_dataset(const fs::path& folder) {
  fs::create_directories(folder);
  DatasetInfo info;
  info.name = "crafted";
  Norm norm;
  norm.name = "polite";
  norm.rules.forbidden_words = {"fool"};
  norm.fallback = "text:sorry";
  info.norms = {norm};
  TokenizedExample example;
  example.source = example.desired = {70, kEosToken};
  for (const char* split : {kTrainSplit, kHeldOutSplit}) {
    const std::string file = std::string(split) + "-00000.h5";
    write_shard(folder / file, {"byte", 384, split}, {example}).value();
    info.shards.push_back({file, split, 1, sha256_file(folder / file).value()});
  }
  write_file_atomically(folder / "dataset.json", to_json(info).dump()).value();
  return Dataset::open(folder).value();
}

TEST_F(RunFolder, WritesTheSummaryAndWhatWasJudged) {
  const RunLayout layout(root_ / "run");
  fs::create_directories(layout.evaluation());
  const Dataset dataset = make_dataset(root_ / "data");
  std::vector<EvaluationRow> base, aligned;
  for (int i = 0; i < 10; ++i) {
    EvaluationRow row;
    row.row = i;
    row.id = std::to_string(i);
    row.norm = "polite";
    row.source = "greet <script>alert(1)</script>";
    row.desired = "hello";
    row.output = i < 8 ? "you fool" : "hello";
    base.push_back(row);
    row.output = i < 1 ? "you fool" : "hello";
    aligned.push_back(row);
  }
  ASSERT_TRUE(write_evaluation(layout.evaluation_rows(Step(0)), base).has_value());
  EXPECT_FALSE(write_summary(layout, dataset, Step(5), "abc").has_value()) << "the final evaluation is missing";
  ASSERT_TRUE(write_evaluation(layout.evaluation_rows(Step(5)), aligned).has_value());
  const Status written = write_summary(layout, dataset, Step(5), "abc");
  ASSERT_TRUE(written.has_value()) << to_string(written.error());
  const auto summary = read_json_file(layout.summary());
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->at("step"), 5);
  EXPECT_EQ(summary->at("weights_sha256"), "abc");
  const Json& polite = summary->at("norms").at("polite");
  EXPECT_DOUBLE_EQ(polite.at("base").at("undesirable_rate"), 0.8);
  EXPECT_DOUBLE_EQ(polite.at("rules").at("undesirable_rate"), 0.0);
  EXPECT_DOUBLE_EQ(polite.at("aligned").at("undesirable_rate"), 0.1);
  EXPECT_FALSE(summary->contains("probe")) << "there is no snapshot";
  const auto judged = read_judged(layout);
  ASSERT_TRUE(judged.has_value()) << to_string(judged.error());
  ASSERT_EQ(judged->rows.size(), 10u);
  EXPECT_EQ(judged->norms.at(0).rules.forbidden_words, std::vector<std::string>{"fool"});
  EXPECT_EQ(judged->rows[0].rules.text, "sorry");
  EXPECT_TRUE(judged->rows[0].base.verdict.undesirable);
  EXPECT_DOUBLE_EQ(judged->rows[9].aligned.score.value(), 1.0);
  EXPECT_TRUE(judged->rows[0].others.empty());

  aligned[0].norm = "unheard of";
  ASSERT_TRUE(write_evaluation(layout.evaluation_rows(Step(5)), aligned).has_value());
  const Status refused = write_summary(layout, dataset, Step(5), "abc");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kData);
}

}  // namespace
}  // namespace plumbline
