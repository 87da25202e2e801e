#include "coordinator/schedule/retention.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<Step> steps(const std::vector<std::int64_t>& numbers) {
  std::vector<Step> steps;
  for (const std::int64_t number : numbers) steps.emplace_back(number);
  return steps;
}
std::vector<std::int64_t> surplus(const RetentionPolicy& policy, const std::vector<std::int64_t>& present,
                                  std::int64_t newest, const std::vector<HeldOutMeasure>& measures = {}) {
  std::vector<std::int64_t> numbers;
  for (const Step step : surplus_checkpoints(policy, steps(present), Step(newest), measures))
    numbers.push_back(step.value());
  return numbers;
}

TEST(Retention, TheNewestAreKept) {
  EXPECT_THAT(surplus({.keep = 2}, {12, 4, 8, 16}, 16), ElementsAre(4, 8)) << "in whatever order they are listed";
  EXPECT_THAT(surplus({.keep = 9}, {4, 8}, 8), IsEmpty());
  EXPECT_THAT(surplus({.keep = 1}, {}, 8), IsEmpty());
}

TEST(Retention, TheNewestVerifiedStaysUnderEveryPolicy) {
  EXPECT_THAT(surplus({.keep = 0}, {4, 8}, 8), ElementsAre(4));
  EXPECT_THAT(surplus({.keep = 1}, {4, 8, 12}, 8), ElementsAre(4)) << "what is newer is not its business";
}

TEST(Retention, MilestonesStayForGood) {
  EXPECT_THAT(surplus({.keep = 1, .keep_every = 100}, {50, 100, 150, 200, 250}, 250), ElementsAre(50, 150));
  EXPECT_THAT(surplus({.keep = 1, .keep_every = 70}, {50, 100}, 100), ElementsAre(50)) << "no multiple, no milestone";
}

/// A generation broke while the milestone was being written.
TEST(Retention, TheOneThatMadeUpForAMilestoneStaysInItsPlace) {
  const RetentionPolicy policy{.keep = 1, .keep_every = 100, .every = 10};
  EXPECT_THAT(surplus(policy, {90, 104, 110, 120}, 120), ElementsAre(90, 110));
  EXPECT_THAT(surplus(policy, {90, 110, 120}, 120), ElementsAre(90)) << "the next that was due, where none made up";
  EXPECT_THAT(surplus(policy, {90, 100, 104, 110}, 110), ElementsAre(90, 104)) << "the milestone is there";
  EXPECT_THAT(surplus(policy, {190, 204, 210}, 210), ElementsAre(190)) << "the first one need not be there any more";
}

TEST(Retention, NothingStandsInForAMilestoneThatWasNotDue) {
  EXPECT_THAT(surplus({.keep = 1, .keep_every = 100, .every = 30}, {90, 120, 150}, 150), ElementsAre(90, 120))
      << "100 is no multiple of 30";
  EXPECT_THAT(surplus({.keep = 1, .keep_every = 100, .every = 10}, {240, 250}, 250), ElementsAre(240))
      << "that of step 200 went before milestones were asked for";
  EXPECT_THAT(surplus({.keep = 1, .keep_every = 100, .every = 10}, {4, 8}, 8), ElementsAre(4)) << "step 0 is none";
  EXPECT_THAT(surplus({.keep = 1, .keep_every = 100}, {90, 104, 110}, 110), ElementsAre(90, 104));
}

TEST(Retention, TheBestStay) {
  const std::vector<HeldOutMeasure> measures{{4, 0.5}, {8, 0.25}, {12, 0.25}, {14, 0.125}, {16, 0.75}};
  EXPECT_THAT(surplus({.keep = 1, .keep_best = 1}, {4, 8, 12, 16}, 16, measures), ElementsAre(4, 12))
      << "of equals the earlier; step 14 was measured, but has no checkpoint";
  EXPECT_THAT(surplus({.keep = 1, .keep_best = 2}, {4, 8, 12, 16}, 16, measures), ElementsAre(4));
  EXPECT_THAT(surplus({.keep = 1, .keep_best = 3}, {4, 8, 10, 16}, 16, measures), ElementsAre(10))
      << "it was never measured";
}

TEST(Retention, WhatStaysDoesNotDependOnWhenItIsAsked) {
  // Pruning after each commit leaves what pruning once at the end leaves, but for a best that was no longer there.
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const RetentionPolicy policy{static_cast<int>(random() % 4), static_cast<std::int64_t>(random() % 3) * 12,
                                 static_cast<int>(random() % 3)};
    std::vector<std::int64_t> present, all;
    std::vector<HeldOutMeasure> measures;
    for (std::int64_t step = 4; step <= 60; step += 4) {
      present.push_back(step), all.push_back(step);
      if (random() % 2 == 0) add_measure(measures, {step, static_cast<double>(random() % 8)});
      for (const std::int64_t gone : surplus(policy, present, step, measures)) std::erase(present, gone);
      EXPECT_EQ(present.back(), step);
    }
    std::vector<std::int64_t> at_once = all;
    for (const std::int64_t gone : surplus(policy, all, 60, measures)) std::erase(at_once, gone);
    EXPECT_EQ(present, at_once);
  }
}

TEST(Retention, MeasuresAreTakenFromHeldOutLines) {
  const Json line{{"kind", "heldout"},
                  {"step", 8},
                  {"norms", {{"a", {{"loss", 1.0}, {"undesirable_rate", 0.5}}}, {"b", {{"loss", 2.0}}}}}};
  EXPECT_EQ(held_out_measure(line, /*judged=*/false), (HeldOutMeasure{8, 1.5}));
  EXPECT_EQ(held_out_measure(line, /*judged=*/true), (HeldOutMeasure{8, 0.5})) << "over the norms that have a rate";
  Json train = line, lacking = line, broken = line, empty = line;
  train["kind"] = "train", lacking["norms"]["b"].erase("loss"), broken["norms"] = 3, empty["norms"] = Json::object();
  for (const Json& other : {train, lacking, broken, empty, Json(), Json::array()})
    EXPECT_FALSE(held_out_measure(other, false)) << other.dump();
}

TEST(Retention, AMeasureOfAStepVoidsLaterOnes) {
  std::vector<HeldOutMeasure> measures;
  for (const HeldOutMeasure& measure : {HeldOutMeasure{4, 1}, {8, 2}, {12, 3}, {8, 4}}) add_measure(measures, measure);
  EXPECT_THAT(measures, ElementsAre(HeldOutMeasure{4, 1}, HeldOutMeasure{8, 4}));
}

}  // namespace
}  // namespace plumbline
