#include "common/data/plan.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "common/data/used_sides.hpp"
#include "tests/common/plan/tiny_dataset.hpp"

namespace plumbline {
namespace {

TEST(KeyedPermutationTest, IsABijectionForEverySize) {
  for (const std::uint64_t size : {1, 2, 3, 4, 5, 7, 16, 17, 63, 64, 65, 1000, 4097}) {
    const KeyedPermutation order(3, 1, size);
    std::vector<bool> seen(size, false);
    for (std::uint64_t p = 0; p < size; ++p) {
      const std::uint64_t row = order(p);
      ASSERT_LT(row, size);
      EXPECT_FALSE(seen[row]) << "size " << size << " place " << p;
      seen[row] = true;
    }
  }
}

TEST(KeyedPermutationTest, SeedAndEpochChooseTheOrder) {
  const auto first = [](std::uint64_t seed, std::uint64_t epoch) {
    std::vector<std::uint64_t> rows;
    const KeyedPermutation order(seed, epoch, 1000);
    for (std::uint64_t p = 0; p < 50; ++p) rows.push_back(order(p));
    return rows;
  };
  EXPECT_EQ(first(1, 0), first(1, 0));
  EXPECT_NE(first(1, 0), first(2, 0));
  EXPECT_NE(first(1, 0), first(1, 1));
}

TEST(KeyedPermutationTest, MixesNeighbours) {
  // Mean distance of neighbours' images is n/3 for a random order, 1 for none.
  const KeyedPermutation order(11, 0, 10'000);
  double distance = 0;
  for (std::uint64_t p = 0; p + 1 < 10'000; ++p)
    distance += std::abs(static_cast<double>(order(p)) - static_cast<double>(order(p + 1)));
  EXPECT_NEAR(distance / 9'999, 10'000.0 / 3, 150);
}

class PlanTest : public testing::Test {
 protected:
  Plan make(int count, int global_batch, int lanes, std::int64_t budget = 200, std::uint64_t seed = 5) {
    return make(TinyDataset(count), global_batch, lanes, budget, seed);
  }
  Plan make(const TinyDataset& data, int global_batch, int lanes, std::int64_t budget, std::uint64_t seed = 5) {
    dataset_ = data.write(folder_.path());
    train_.global_batch = global_batch;
    train_.lanes = lanes;
    train_.micro_batch_tokens = budget;
    train_.max_source_tokens = 8;
    train_.max_output_tokens = 7;
    return Plan::make(train_, seed, dataset_->train(), objectives_of({}, dataset_->info())).value();
  }
  std::int64_t tokens(std::int64_t row, Side side) const {
    return std::min<std::int64_t>(dataset_->train().length(row, side), side == Side::kSource ? 8 : 7);
  }
  std::int64_t tokens(std::int64_t row) const {
    return tokens(row, Side::kSource) + tokens(row, Side::kDesired) + tokens(row, Side::kUndesired);
  }
  static std::vector<std::int64_t> rows_of(const Lane& lane) {
    std::vector<std::int64_t> rows;
    for (const auto& micro : lane.micro_batches) rows.insert(rows.end(), micro.rows.begin(), micro.rows.end());
    return rows;
  }
  static std::vector<std::int64_t> rows_of(const GlobalBatch& batch) {
    std::vector<std::int64_t> rows;
    for (const auto& lane : batch.lanes)
      for (const auto row : rows_of(lane)) rows.push_back(row);
    return rows;
  }
  /// Of the first five steps: lane, micro-batch, row.
  static std::vector<std::vector<std::vector<std::int64_t>>> cuts_of(const Plan& plan) {
    std::vector<std::vector<std::vector<std::int64_t>>> cuts;
    for (int step = 0; step < 5; ++step) {
      const GlobalBatch batch = plan.at(Step(step));
      for (const auto& lane : batch.lanes) {
        cuts.emplace_back();
        for (const auto& micro : lane.micro_batches) cuts.back().push_back(micro.rows);
      }
    }
    return cuts;
  }
  ScratchFolder folder_;
  std::optional<Dataset> dataset_;
  TrainConfig train_;
};

TEST_F(PlanTest, EveryExampleOnceAnEpochAcrossStepBoundaries) {
  for (const auto& [count, global_batch] : {std::pair{50, 12}, {37, 24}, {7, 12}, {12, 12}}) {
    const Plan plan = make(count, global_batch, 4);
    const std::int64_t epochs = 6;
    std::vector<std::int64_t> stream;  // rows in the order of steps; within a step as a set
    std::map<std::int64_t, std::int64_t> seen;
    std::int64_t steps = 0;
    for (; steps * global_batch < epochs * count; ++steps) {
      const auto rows = rows_of(plan.at(Step(steps)));
      ASSERT_EQ(rows.size(), static_cast<std::size_t>(global_batch));
      for (const auto row : rows) ++seen[row];
      // After each step every row has been seen floor or ceil of (positions / n) times.
      const std::int64_t positions = (steps + 1) * global_batch;
      for (int row = 0; row < count; ++row) {
        EXPECT_GE(seen[row], positions / count);
        EXPECT_LE(seen[row], (positions + count - 1) / count);
      }
    }
  }
}

TEST_F(PlanTest, IsAPureFunctionOfTheStep) {
  const Plan plan = make(40, 12, 4), again = make(40, 12, 4), other = make(40, 12, 4, 200, 6);
  const auto late = plan.at(Step(9));
  static_cast<void>(plan.at(Step(2)));
  for (std::size_t lane = 0; lane < 4; ++lane) {
    ASSERT_EQ(late.lanes[lane].micro_batches.size(), again.at(Step(9)).lanes[lane].micro_batches.size());
    for (std::size_t m = 0; m < late.lanes[lane].micro_batches.size(); ++m)
      EXPECT_EQ(late.lanes[lane].micro_batches[m].rows, again.at(Step(9)).lanes[lane].micro_batches[m].rows);
  }
  EXPECT_NE(rows_of(plan.at(Step(9))), rows_of(other.at(Step(9))));
  EXPECT_EQ(late.epoch, 9 * 12 / 40);
}

TEST_F(PlanTest, LanesAreNeverEmptyAndEveryRankCarriesItsShare) {
  for (const int lanes : {1, 3, 12}) {
    const Plan plan = make(60, 48, lanes);
    for (int step = 0; step < 10; ++step) {
      const auto batch = plan.at(Step(step));
      std::vector<std::int64_t> loads;
      for (const auto& lane : batch.lanes) {
        EXPECT_FALSE(lane.micro_batches.empty());
        for (const auto& micro : lane.micro_batches) EXPECT_FALSE(micro.rows.empty());
        loads.push_back(0);
        for (const auto row : rows_of(lane)) loads.back() += tokens(row);
      }
      const double share = static_cast<double>(batch.source_tokens + batch.output_tokens) / lanes;
      for (int world = 1; world <= lanes; ++world)
        for (int rank = 0; rank < world; ++rank) {
          const LaneRange held = lanes_of(rank, world, lanes);
          const auto load = std::accumulate(loads.begin() + held.begin, loads.begin() + held.end, std::int64_t{0});
          EXPECT_NEAR(static_cast<double>(load), share * (held.end - held.begin), 8 + 7 + 7) << "one row";
        }
    }
  }
  const Plan tight = make(60, 12, 12);
  for (const auto& lane : tight.at(Step(3)).lanes) EXPECT_EQ(rows_of(lane).size(), 1u);
}

TEST_F(PlanTest, ALaneHoldsRowsOfLikeLength) {
  const auto batch = make(60, 48, 6).at(Step(2));
  std::int64_t shortest = 8 + 7 + 7;
  for (const auto& lane : batch.lanes)
    for (const auto row : rows_of(lane)) {
      EXPECT_LE(tokens(row), shortest) << "longest first, from lane to lane";
      shortest = tokens(row);
    }
}

TEST_F(PlanTest, MicroBatchesStayWithinTheBudgetUnlessOneRowIsLonger) {
  for (const std::int64_t budget : {10, 40, 100}) {
    const Plan plan = make(60, 48, 4, budget);
    for (int step = 0; step < 5; ++step)
      for (const auto& lane : plan.at(Step(step)).lanes)
        for (const auto& micro : lane.micro_batches) {
          std::int64_t outputs = 0, source = 0, output = 0;
          for (const auto row : micro.rows) {
            source = std::max(source, tokens(row, Side::kSource));
            for (const Side side : {Side::kDesired, Side::kUndesired}) {
              outputs += tokens(row, side) > 0 ? 1 : 0;
              output = std::max(output, tokens(row, side));
            }
          }
          const auto padded = static_cast<std::int64_t>(micro.rows.size()) * source + outputs * output;
          if (micro.rows.size() > 1) {
            EXPECT_LE(padded, budget);
          }
        }
  }
}

TEST_F(PlanTest, TotalsAreTheCountsOfTheGlobalBatch) {
  const Plan plan = make(50, 24, 4);
  const auto batch = plan.at(Step(1));
  std::vector<NormTotals> expected(3);
  std::int64_t source = 0, output = 0;
  for (const auto row : rows_of(batch)) {
    auto& t = expected[dataset_->train().norm(row)];
    const ExampleKind kind = dataset_->train().kind(row);
    ++t.examples;
    t.demonstrations += kind == ExampleKind::kDemonstration;
    t.preferences += kind == ExampleKind::kPreference;
    t.prohibitions += kind == ExampleKind::kProhibition;
    t.desired_tokens += tokens(row, Side::kDesired);
    t.undesired_tokens += tokens(row, Side::kUndesired);
    source += tokens(row, Side::kSource);
    output += tokens(row, Side::kDesired) + tokens(row, Side::kUndesired);
  }
  for (std::size_t n = 0; n < 3; ++n) {
    EXPECT_EQ(batch.totals[n].examples, expected[n].examples);
    EXPECT_EQ(batch.totals[n].demonstrations, expected[n].demonstrations);
    EXPECT_EQ(batch.totals[n].preferences, expected[n].preferences);
    EXPECT_EQ(batch.totals[n].prohibitions, expected[n].prohibitions);
    EXPECT_EQ(batch.totals[n].desired_tokens, expected[n].desired_tokens);
    EXPECT_EQ(batch.totals[n].undesired_tokens, expected[n].undesired_tokens);
  }
  EXPECT_EQ(batch.source_tokens, source);
  EXPECT_EQ(batch.output_tokens, output);
}

TEST_F(PlanTest, SftOverPreferencesIsCutAsSftOverTheirDemonstrations) {
  TinyDataset preferences(60);
  for (Norm& norm : preferences.norms) norm.objective = Objective::kSft;
  TinyDataset demonstrations = preferences;
  for (TokenizedExample& e : demonstrations.train)
    if (e.kind == ExampleKind::kPreference) e.kind = ExampleKind::kDemonstration, e.undesired.clear();
  const Plan alone = make(demonstrations, 48, 4, 60);
  const auto expected = cuts_of(alone);
  const auto tokens_alone = alone.at(Step(0)).output_tokens;
  const Plan plan = make(preferences, 48, 4, 60);
  EXPECT_EQ(cuts_of(plan), expected);
  EXPECT_EQ(plan.at(Step(0)).output_tokens, tokens_alone);
  std::int64_t output = 0;
  for (const auto row : rows_of(plan.at(Step(0)))) output += tokens(row, Side::kDesired);
  EXPECT_EQ(tokens_alone, output) << "a prohibition has nothing that sft computes";
}

TEST_F(PlanTest, ObjectivesOfPairsCountBothOutputs) {
  TinyDataset data(60);
  std::vector<std::size_t> micro_batches;
  std::vector<std::vector<std::vector<std::vector<std::int64_t>>>> of_pairs;
  for (const Objective objective : {Objective::kSft, Objective::kDpo, Objective::kSimpo, Objective::kKto}) {
    for (Norm& norm : data.norms) norm.objective = objective;
    const Plan plan = make(data, 48, 4, 60);
    const GlobalBatch batch = plan.at(Step(0));
    std::int64_t output = 0;
    for (const auto row : rows_of(batch)) {
      const bool both = objective == Objective::kKto ||
                        (objective != Objective::kSft && dataset_->train().kind(row) == ExampleKind::kPreference);
      output += tokens(row, Side::kDesired) + (both ? tokens(row, Side::kUndesired) : 0);
    }
    EXPECT_EQ(batch.output_tokens, output) << to_string(objective);
    micro_batches.push_back(0);
    for (const auto& lane : batch.lanes) micro_batches.back() += lane.micro_batches.size();
    if (compares_pairs(objective)) of_pairs.push_back(cuts_of(plan));
  }
  EXPECT_LT(micro_batches[0], micro_batches[1]) << "sft computes one output of a preference";
  EXPECT_EQ(of_pairs[0], of_pairs[1]);
}

/// The configuration's word counts before the dataset's, by norm.
TEST_F(PlanTest, ObjectivesAreTheDatasetsUnlessTheConfigurationNamesOthers) {
  make(20, 12, 4);
  RunConfig config;
  config.norms["mirror"].weight = 2;
  EXPECT_EQ(objectives_of(config, dataset_->info()),
            (std::vector<Objective>{Objective::kDpo, Objective::kSft, Objective::kUnlikelihood}));
  config.norms["no-secret"].objective = Objective::kSft;
  EXPECT_EQ(objectives_of(config, dataset_->info()),
            (std::vector<Objective>{Objective::kDpo, Objective::kSft, Objective::kSft}));
}

TEST_F(PlanTest, RowsThroughAreTheRowsOfTheFirstSteps) {
  const Plan plan = make(50, 12, 4);
  for (const std::int64_t steps : {0, 1, 3, 4, 5, 9}) {
    std::set<std::int64_t> expected;
    for (std::int64_t s = 0; s < steps; ++s)
      for (const auto row : rows_of(plan.at(Step(s)))) expected.insert(row);
    EXPECT_EQ(plan.rows_through(steps), std::vector<std::int64_t>(expected.begin(), expected.end())) << steps;
  }
}

TEST_F(PlanTest, RefusesWhatCannotBePlanned) {
  make(20, 12, 4);
  train_.lanes = 13;
  const std::vector<Objective> two(2, Objective::kSft), three(3, Objective::kSft);
  const auto too_many = Plan::make(train_, 1, dataset_->train(), three);
  ASSERT_TRUE(too_many.has_error());
  EXPECT_EQ(too_many.error().code, ErrorCode::kUsage);
  EXPECT_EQ(too_many.error().where, "train.lanes");
  train_.lanes = 4;
  EXPECT_EQ(Plan::make(train_, 1, dataset_->train(), two).error().code, ErrorCode::kData);
  EXPECT_EQ(Plan::make(train_, 1, Split(), three).error().code, ErrorCode::kData);
}

TEST(LanesOfTest, CoverAllLanesEvenly) {
  for (int lanes = 1; lanes <= 13; ++lanes)
    for (int world = 1; world <= 14; ++world) {
      int next = 0, least = lanes, most = 0;
      for (int rank = 0; rank < world; ++rank) {
        const LaneRange range = lanes_of(rank, world, lanes);
        EXPECT_EQ(range.begin, next);
        next = range.end;
        least = std::min(least, range.end - range.begin);
        most = std::max(most, range.end - range.begin);
      }
      EXPECT_EQ(next, lanes);
      EXPECT_LE(most - least, 1);
    }
}

TEST_F(PlanTest, FixedBatchesHoldEveryRowOnceByLength) {
  make(50, 12, 4);
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 49; row >= 0; row -= 2) rows.push_back(row);
  const auto batches = fixed_batches(dataset_->train(), rows, 8);
  ASSERT_EQ(batches.size(), 4u);
  std::multiset<std::int64_t> seen;
  std::int64_t last = 0;
  for (const auto& batch : batches)
    for (const auto row : batch) {
      seen.insert(row);
      std::int64_t length = 0;
      for (const Side side : {Side::kSource, Side::kDesired, Side::kUndesired})
        length += dataset_->train().length(row, side);
      EXPECT_GE(length, last);
      last = length;
    }
  EXPECT_EQ(seen, std::multiset<std::int64_t>(rows.begin(), rows.end()));
  EXPECT_EQ(batches.back().size(), 1u);
}

TEST_F(PlanTest, PartnersAreOtherRowsOfTheSameNormEachOnce) {
  make(40, 8, 4);
  const Split& split = dataset_->train();
  const auto partners = partners_of(split, 3);
  ASSERT_EQ(static_cast<std::int64_t>(partners.size()), split.size());
  std::set<std::int64_t> seen;
  for (std::int64_t row = 0; row < split.size(); ++row) {
    const std::int64_t partner = partners[static_cast<std::size_t>(row)];
    EXPECT_NE(partner, row);
    EXPECT_EQ(split.norm(partner), split.norm(row));
    EXPECT_TRUE(seen.insert(partner).second);
  }
  EXPECT_EQ(partners_of(split, 3), partners);
}

TEST_F(PlanTest, HeldOutRowsAreTheSameExamplesInAnyOrderOfTheRows) {
  TinyDataset tiny(6, 60);
  const ScratchFolder folder;
  const auto chosen = [&](const char* name) {
    const Dataset dataset = tiny.write(folder.path() / name);
    std::set<ExampleId> ids;
    for (const auto row : held_out_rows(dataset.held_out(), 3, 5, 9)) ids.insert(dataset.held_out().id(row));
    return ids;
  };
  const auto expected = chosen("one");
  EXPECT_EQ(expected.size(), 15u);
  std::reverse(tiny.held_out.begin(), tiny.held_out.end());
  EXPECT_EQ(chosen("two"), expected);
}

TEST_F(PlanTest, HeldOutRowsAreTheSameInEveryEvaluation) {
  make(20, 12, 4);
  const Split& split = dataset_->held_out();
  const auto few = held_out_rows(split, 3, 2, 9), more = held_out_rows(split, 3, 5, 9);
  EXPECT_EQ(few.size(), 6u);
  EXPECT_EQ(more.size(), 15u);
  EXPECT_EQ(std::set<std::int64_t>(more.begin(), more.end()).size(), 15u);
  for (const auto row : few) EXPECT_NE(std::find(more.begin(), more.end(), row), more.end());
  const auto rest = held_out_rows(split, 3, 3, 9, 2);
  EXPECT_EQ(rest.size(), 9u);
  for (const auto row : rest) {
    EXPECT_EQ(std::find(few.begin(), few.end(), row), few.end()) << "what is skipped is not there";
    EXPECT_NE(std::find(more.begin(), more.end(), row), more.end());
  }
  EXPECT_TRUE(held_out_rows(split, 3, 3, 9, 1000).empty());
  EXPECT_EQ(held_out_rows(split, 3, 1000, 9).size(), static_cast<std::size_t>(split.size()));
  EXPECT_TRUE(held_out_rows(Split(), 3, 4, 9).empty());
  EXPECT_EQ(probe_rows(split, 3, 7, 9).size(), 7u);
  EXPECT_EQ(probe_rows(split, 3, 1000, 9).size(), static_cast<std::size_t>(split.size()));
}

}  // namespace
}  // namespace plumbline
