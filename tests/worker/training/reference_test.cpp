#include "worker/reference.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <thread>

#include "common/record/reference_part.hpp"
#include "tests/common/data/damage.hpp"
#include "tests/worker/training/tiny_run.hpp"
#include "worker/batch/batch.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ReferenceTest : public testing::Test {
 protected:
  /// dpo, nothing and unlikelihood as they are; kto in place of the last two where a test wants everything.
  void use_kto() {
    for (const char* name : {"mirror", "no-secret"}) run_.config.norms[name].objective = Objective::kKto;
  }
  [[nodiscard]] static std::string bits(const RowLogProbs::Values& v) {
    std::string all;
    for (const float value : {v.desired, v.undesired, v.desired_differing, v.undesired_differing, v.mismatched})
      all.append(reinterpret_cast<const char*>(&value), sizeof value);
    return all;
  }
  /// Of all rows of both splits.
  [[nodiscard]] std::string bits(const References& references) const {
    std::string all;
    for (std::int64_t row = 0; row < run_.dataset.train().size(); ++row) all += bits(references.train.at(row));
    for (std::int64_t row = 0; row < run_.dataset.held_out().size(); ++row) all += bits(references.held_out.at(row));
    return all;
  }
  [[nodiscard]] References alone(ReferenceWork work) {
    told_.clear();
    work.tell = [this](const std::string& line) { told_ += line + "\n"; };
    return prepare_references(*run_.start_model(), work, *make_self_collective()).value();
  }
  /// The parts in a folder of kept log-probs.
  [[nodiscard]] static std::vector<fs::path> parts(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
      if (entry.path().extension() == ".h5") files.push_back(entry.path());
    return files;
  }
  [[nodiscard]] static std::size_t groups(const fs::path& folder) {
    std::size_t count = 0;
    for (const fs::path& file : parts(folder))
      count += read_reference_part(file, file.parent_path().filename().string()).value().groups.size();
    return count;
  }

  TinyRun run_;
  std::string told_;
};

TEST_F(ReferenceTest, TheSameBitsOnAnyNumberOfRanksComputedOrRead) {
  use_kto();
  for (const int rows_together : {1, 4}) {
    std::string expected;
    for (const int ranks : {1, 2, 3, 5}) {
      auto work = run_.reference_work("kept-" + std::to_string(rows_together) + "-" + std::to_string(ranks));
      work.rows_together = rows_together;
      work.first_part = std::chrono::hours(1);  // however slow the machine is
      for (const bool read : {false, true}) {
        std::vector<std::string> all(static_cast<std::size_t>(ranks));
        run_ranks(ranks, [&](Collective& collective) {
          all[static_cast<std::size_t>(collective.rank())] =
              bits(prepare_references(*run_.start_model(), work, collective).value());
        });
        if (expected.empty()) expected = all[0];
        for (const auto& one : all) EXPECT_EQ(one, expected) << ranks << " ranks, read " << read;
      }
      EXPECT_EQ(parts(work.folders[0]).size(), static_cast<std::size_t>(ranks)) << "each rank writes its own";
    }
  }
}

TEST_F(ReferenceTest, TheValuesAreTheStartModelsOfTheRowsThatAreCompared) {
  run_.config.norms["no-secret"].objective = Objective::kKto;
  const References references = alone(run_.reference_work());
  const auto model = run_.start_model();
  const Split& split = run_.dataset.train();
  const auto partners = partners_of(split, 3);
  const auto near = [](float value, float expected) { EXPECT_NEAR(value, expected, 1e-4); };
  bool any_shared = false;
  for (std::int64_t row = 0; row < split.size(); ++row) {
    SCOPED_TRACE(row);
    const RowLogProbs::Values v = references.train.at(row);
    EXPECT_EQ(references.train.holds(row), split.norm(row) != 1) << "the norm mirror trains with sft";
    EXPECT_EQ(std::isnan(v.desired), split.norm(row) == 1 || split.length(row, Side::kDesired) == 0);
    EXPECT_EQ(std::isnan(v.undesired), split.norm(row) == 1 || split.length(row, Side::kUndesired) == 0);
    EXPECT_EQ(std::isnan(v.mismatched), split.norm(row) != 2);
    if (split.norm(row) == 1) continue;
    const ReferenceLogProbs expected = score(*model, make_batch(split, {row}, 8, 8, at::kCPU));
    if (!std::isnan(v.desired)) {
      near(v.desired, expected.desired[0]);
      near(v.desired_differing, expected.desired_differing[0]);
      any_shared |= v.desired != v.desired_differing;
    }
    if (!std::isnan(v.undesired)) {
      near(v.undesired, expected.undesired[0]);
      near(v.undesired_differing, expected.undesired_differing[0]);
    }
    if (!std::isnan(v.mismatched))
      near(v.mismatched, score(*model, make_mismatched_batch(split, {row}, partners, 8, 8, at::kCPU)).desired[0]);
  }
  EXPECT_TRUE(any_shared);
  const Batch batch = make_batch(split, {0, 5, 3, 2}, 8, 8, at::kCPU);
  const ReferenceLogProbs of = references.train.of(batch);
  ASSERT_EQ(of.desired.size(), batch.desired.batch_row.size());
  ASSERT_EQ(of.undesired.size(), batch.undesired.batch_row.size());
  for (std::size_t i = 0; i < of.desired.size(); ++i)
    EXPECT_EQ(of.desired[i],
              references.train.at(batch.rows[static_cast<std::size_t>(batch.desired.batch_row[i])]).desired);
  for (std::size_t i = 0; i < of.undesired.size(); ++i)
    EXPECT_EQ(
        of.undesired_differing[i],
        references.train.at(batch.rows[static_cast<std::size_t>(batch.undesired.batch_row[i])]).undesired_differing);
}

TEST_F(ReferenceTest, PartsHoldSumsAndLengths) {
  const auto work = run_.reference_work();
  static_cast<void>(alone(work));
  const fs::path file = parts(work.folders[0]).at(0);
  const fs::path model = file.parent_path() / "model.json";
  EXPECT_EQ(sha256_file(model).value(), file.parent_path().filename());
  EXPECT_EQ(read_file(model).value(), reference_model(*run_.start_model(), work));
  const ReferencePart part = read_reference_part(file, file.parent_path().filename().string()).value();
  std::map<GroupKey, std::vector<ScoredOutput>> found;
  for (const ScoredGroup& group : part.groups) found[group.key] = group.outputs;
  const Split& split = run_.dataset.train();
  for (std::int64_t row = 0; row < split.size(); row += 3) {  // the preferences of dpo
    const Batch batch = make_batch(split, {row}, 8, 8, at::kCPU);
    auto source = split.tokens(row, Side::kSource);
    cut_source(source, 8);
    const auto cut = [&](Side side) {
      auto tokens = split.tokens(row, side);
      tokens.resize(std::min<std::size_t>(tokens.size(), 8));
      return tokens;
    };
    const auto outputs = found.at(group_key({{source, cut(Side::kDesired), cut(Side::kUndesired)}}));
    ASSERT_EQ(outputs.size(), 2u);
    EXPECT_EQ(outputs[0].tokens, batch.desired.length[0]);
    EXPECT_EQ(outputs[1].tokens, batch.undesired.length[0]);
    EXPECT_EQ(outputs[0].differing_tokens, batch.desired.differing[0].size());
    EXPECT_EQ(outputs[1].differing_tokens, batch.undesired.differing[0].size());
  }
}

TEST_F(ReferenceTest, ARunThatUsesOtherRowsFindsThoseThatAreThere) {
  use_kto();
  for (const int rows_together : {1, 4}) {
    auto all = run_.reference_work("all-" + std::to_string(rows_together)),
         few = run_.reference_work("few-" + std::to_string(rows_together));
    all.rows_together = few.rows_together = rows_together;
    const References expected = alone(all);
    few.train_rows = {39, 3, 3, 4, 20};  // in any order
    few.held_out_rows = {7};
    const References first = alone(few);
    EXPECT_THAT(told_, HasSubstr(" 0 of "));
    for (const std::int64_t row : {3, 4, 20, 39})
      EXPECT_EQ(bits(first.train.at(row)), bits(expected.train.at(row))) << "whatever else is asked for";
    EXPECT_FALSE(first.train.holds(5));
    const std::size_t before = groups(few.folders[0]);
    few.train_rows = {3, 20, 21, 22};
    const References second = alone(few);
    EXPECT_EQ(told_.find(" 0 of "), std::string::npos) << told_;
    EXPECT_THAT(told_, HasSubstr("computing"));
    EXPECT_EQ(bits(second.train.at(21)), bits(expected.train.at(21)));
    EXPECT_GT(groups(few.folders[0]), before);
    EXPECT_LT(groups(few.folders[0]), groups(all.folders[0]));
    auto rest = run_.reference_work("few-" + std::to_string(rows_together));
    rest.rows_together = rows_together;
    EXPECT_EQ(bits(alone(rest)), bits(expected));
    EXPECT_EQ(groups(rest.folders[0]), groups(all.folders[0])) << "nothing is computed twice";
  }
}

TEST_F(ReferenceTest, WhatWasKeptBeforeAKillIsTakenUp) {
  use_kto();
  auto work = run_.reference_work();
  work.first_part = std::chrono::milliseconds(0);
  const References whole = alone(work);
  const auto files = parts(work.folders[0]);
  ASSERT_GT(files.size(), 10u) << "a part a group";
  for (std::size_t i = 0; i < files.size(); i += 3) fs::remove(files[i]);
  write_file_atomically(files[1].parent_path() / (".x.h5.0123.tmp"), "what a kill leaves of a file").value();
  const std::size_t kept = groups(work.folders[0]);
  std::string taken_up;
  run_ranks(3, [&](Collective& collective) {
    const auto references = prepare_references(*run_.start_model(), work, collective).value();
    if (collective.rank() == 2) taken_up = bits(references);
  });
  EXPECT_EQ(taken_up, bits(whole));
  EXPECT_GT(groups(work.folders[0]), kept);
  static_cast<void>(alone(work));
  EXPECT_EQ(told_.find("computing"), std::string::npos) << told_;
}

TEST_F(ReferenceTest, ADamagedPartIsNamedAndComputedAgain) {
  auto work = run_.reference_work();
  work.first_part = std::chrono::milliseconds(0);
  const References whole = alone(work);
  const auto files = parts(work.folders[0]);
  flip_byte(files[2], 900);
  fs::resize_file(files[4], fs::file_size(files[4]) / 2);
  write_reference_part(files[6], {std::string(64, 'b'), {}}).value();
  EXPECT_EQ(bits(alone(work)), bits(whole));
  for (const std::size_t i : {2, 4, 6}) EXPECT_THAT(told_, HasSubstr(files[i].filename().string()));
  EXPECT_THAT(told_, HasSubstr(std::to_string(files.size() - 3) + " of " + std::to_string(files.size())));
  EXPECT_EQ(groups(work.folders[0]), files.size()) << "all of them can be read";
  static_cast<void>(alone(work));
  EXPECT_EQ(told_.find("cannot be used"), std::string::npos) << "told once: " << told_;
}

/// A part that vouches for itself but holds other numbers of outputs than the rows have.
TEST_F(ReferenceTest, AGroupThatDoesNotFitItsRowsIsPassedOver) {
  auto work = run_.reference_work();
  const References whole = alone(work);
  const fs::path file = parts(work.folders[0]).at(0);
  ReferencePart part = read_reference_part(file, file.parent_path().filename().string()).value();
  part.groups[0].outputs.pop_back();
  part.groups[1].outputs[0].tokens += 1;
  write_reference_part(file, part).value();
  EXPECT_EQ(bits(alone(work)), bits(whole));
  EXPECT_THAT(told_, HasSubstr("log-probs of 2 groups"));
}

TEST_F(ReferenceTest, TwoRunsAtOnceDoNotDisturbEachOther) {
  const std::string expected = bits(alone(run_.reference_work("alone")));
  auto work = run_.reference_work("shared");
  work.first_part = std::chrono::milliseconds(0);
  std::vector<std::string> seen(3);
  std::vector<std::thread> runs;
  for (std::size_t i = 0; i < seen.size(); ++i)
    runs.emplace_back([&, i] {
      at::set_num_threads(1);
      seen[i] = bits(prepare_references(*run_.start_model(), work, *make_self_collective()).value());
    });
  for (auto& run : runs) run.join();
  for (const auto& one : seen) EXPECT_EQ(one, expected);
  EXPECT_EQ(bits(alone(work)), expected);
  EXPECT_EQ(told_.find("computing"), std::string::npos) << told_;
}

TEST_F(ReferenceTest, AFolderThatCannotBeWrittenIsPassedOverWithAWord) {
  auto work = run_.reference_work("run");
  const fs::path in_the_way = run_.folder.path() / "a-file";
  write_file_atomically(in_the_way, "").value();
  work.folders.insert(work.folders.begin(), in_the_way / "reference");
  const std::string expected = bits(alone(work));
  EXPECT_THAT(told_, HasSubstr("cannot be kept in " + in_the_way.string()));
  EXPECT_EQ(parts(run_.folder.path() / "run").size(), 1u);
  EXPECT_EQ(bits(alone(work)), expected) << "read from the second folder";
  EXPECT_EQ(told_.find("computing"), std::string::npos) << told_;
  work.folders = {in_the_way / "reference"};
  const auto nowhere = prepare_references(*run_.start_model(), work, *make_self_collective());
  ASSERT_TRUE(nowhere.has_error());
  EXPECT_THAT(nowhere.error().message, HasSubstr("no folder"));
}

/// Of hosts that have the dataset on disks of their own, one sees parts that others do not.
TEST_F(ReferenceTest, AFolderThatNotAllRanksSeeIsPassedOver) {
  const std::string expected = bits(alone(run_.reference_work("disk-of-0")));
  std::string told;
  run_ranks(3, [&](Collective& collective) {
    auto work = run_.reference_work("disk-of-" + std::to_string(collective.rank()));
    work.folders.push_back(run_.folder.path() / "run");
    work.tell = [&](const std::string& line) { told += line + "\n"; };
    EXPECT_EQ(bits(prepare_references(*run_.start_model(), work, collective).value()), expected);
  });
  EXPECT_THAT(told, HasSubstr("not every worker sees this folder"));
  EXPECT_EQ(parts(run_.folder.path() / "run").size(), 3u);
  for (const auto& entry : fs::recursive_directory_iterator(run_.folder.path() / "disk-of-0"))
    EXPECT_EQ(entry.path().filename().string().find("probe"), std::string::npos) << entry.path();
}

TEST_F(ReferenceTest, TheModelsKeyNamesAllThatTheNumbersDependOn) {
  const auto key = [this](const ReferenceWork& work) { return reference_model(*run_.start_model(), work); };
  const auto work = run_.reference_work();
  const std::string plain = key(work);
  EXPECT_EQ(key(work), plain);
  auto other = work;
  other.fingerprint = "another machine";
  EXPECT_NE(key(other), plain);
  other = work;
  other.train_rows.pop_back();
  other.folders.clear();
  EXPECT_EQ(key(other), plain) << "which rows a run uses does not count";
  run_.config.model.dropout_rate = 0.3;
  EXPECT_EQ(key(work), plain) << "nothing is dropped when a model scores";
  run_.config.model.relative_attention_max_distance /= 2;
  EXPECT_NE(key(work), plain) << "the same parameters in another architecture";
  run_.config.model.relative_attention_max_distance *= 2;
  run_.config.seed = 6;
  EXPECT_NE(key(work), plain) << "other parameters";
}

TEST_F(ReferenceTest, OtherCutLengthsAreOtherGroups) {
  auto work = run_.reference_work();
  static_cast<void>(alone(work));
  work.max_output_tokens = 5;
  static_cast<void>(alone(work));
  EXPECT_THAT(told_, HasSubstr("computing"));
  work.max_output_tokens = 8, work.max_source_tokens = 5;
  static_cast<void>(alone(work));
  EXPECT_THAT(told_, HasSubstr("computing"));
  work.max_source_tokens = 8;
  static_cast<void>(alone(work));
  EXPECT_EQ(told_.find("computing"), std::string::npos) << told_;
}

}  // namespace
}  // namespace plumbline
