#include <gtest/gtest.h>

#include "coordinator/journal/journal.hpp"

namespace plumbline {
namespace {

JournalEntry event(const std::string& name, Json data = Json::object()) { return {0, "", name, std::move(data)}; }

const JournalEntry kStart = event("coordinator_started");
const JournalEntry kFirst = event("generation_started", {{"generation", 1}, {"fingerprint", "avx2 1 thread"}});

TEST(Replay, ANewRunHasNothing) {
  const RunRecord run = replay({event("run_created")});
  EXPECT_EQ(run.generation, Generation(0));
  EXPECT_FALSE(run.checkpoint.has_value());
  EXPECT_EQ(run.fingerprint, "");
  EXPECT_EQ(run.outcome, "");
}

TEST(Replay, KeepsTheNewestCheckpointAndGeneration) {
  const RunRecord run = replay({kStart, kFirst, event("checkpoint_committed", {{"step", 4}, {"weights_sha256", "aa"}}),
                                event("checkpoint_committed", {{"step", 8}, {"weights_sha256", "bb"}}),
                                event("generation_ended"), event("generation_started", {{"generation", 2}})});
  EXPECT_EQ(run.generation, Generation(2));
  ASSERT_TRUE(run.checkpoint.has_value());
  EXPECT_EQ(run.checkpoint->step, Step(8));
  EXPECT_EQ(run.checkpoint->weights_sha256, "bb");
}

TEST(Replay, ACheckpointThatWasSetAsideNoLongerCounts) {
  const auto commit = [](int step) { return event("checkpoint_committed", {{"step", step}, {"weights_sha256", "w"}}); };
  const auto aside = [](int step) { return event("checkpoint_set_aside", {{"step", step}, {"instead", step - 4}}); };
  const auto steps = [](const RunRecord& run) {
    std::vector<std::int64_t> numbers;
    for (const CommittedCheckpoint& one : run.commits) numbers.push_back(one.step.value());
    return numbers;
  };
  const RunRecord back = replay({kStart, commit(4), commit(8), commit(12), aside(12), aside(8)});
  EXPECT_EQ(steps(back), (std::vector<std::int64_t>{4}));
  EXPECT_EQ(back.checkpoint->step, Step(4));
  const RunRecord on = replay({kStart, commit(4), commit(8), aside(8), commit(8), commit(12)});
  EXPECT_EQ(steps(on), (std::vector<std::int64_t>{4, 8, 12})) << "the step was trained again";
}

TEST(Replay, TheFirstFingerprintBindsTheRun) {
  const RunRecord run =
      replay({kStart, kFirst, event("generation_started", {{"generation", 2}, {"fingerprint", "avx512"}})});
  EXPECT_EQ(run.fingerprint, "avx2 1 thread");
}

TEST(Replay, TheOutcomeIsOfTheNewestStart) {
  EXPECT_EQ(replay({kStart, event("run_stopped", {{"step", 4}})}).outcome, "stopped");
  EXPECT_EQ(replay({kStart, event("run_finished")}).outcome, "finished");
  EXPECT_EQ(replay({kStart, event("run_failed")}).outcome, "failed");
  EXPECT_EQ(replay({kStart, event("run_failed"), kStart}).outcome, "");
  EXPECT_EQ(replay({kStart, event("run_stopped"), kStart, event("run_finished")}).outcome, "finished");
}

TEST(Replay, RatesAreThoseOnTheWayToWhereTrainingIs) {
  const auto rate = [](int step, double value) { return event("rate_measured", {{"step", step}, {"rate", value}}); };
  const JournalEntry second = event("generation_started", {{"generation", 2}, {"start_step", 10}});
  EXPECT_EQ(replay({kStart, kFirst, rate(0, 0.5), rate(10, 0.25), rate(20, 0.75), second}).rates,
            (std::vector<MeasuredRate>{{0, 0.5}, {10, 0.25}}));
  EXPECT_EQ(replay({kStart, kFirst, rate(0, 0.5), rate(10, 0.25), rate(20, 0.75), second, rate(20, 0.125)}).rates,
            (std::vector<MeasuredRate>{{0, 0.5}, {10, 0.25}, {20, 0.125}}));
}

TEST(Replay, PassesOverWhatItDoesNotKnow) {
  const RunRecord run =
      replay({event("from_the_future", {{"step", 1}}), event("generation_started", {{"generation", "two"}}),
              event("checkpoint_committed", {{"step", "nine"}, {"weights_sha256", 9}})});
  EXPECT_EQ(run.generation, Generation(0));
  ASSERT_TRUE(run.checkpoint.has_value());
  EXPECT_EQ(run.checkpoint->step, Step(0));
}

}  // namespace
}  // namespace plumbline
