#include "coordinator/schedule/lease_window.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace plumbline {
namespace {

LeasePolicy policy_of(std::int64_t steps) {
  LeasePolicy policy;
  policy.steps = steps;
  return policy;
}

TEST(LeaseWindow, BeginsWithOneStepAndMovesOn) {
  LeaseWindow window(policy_of(100), 40);
  const Grant first = window.open();
  EXPECT_EQ(first.first_step, 40);
  EXPECT_EQ(first.end_step, 41);
  EXPECT_FALSE(first.last);
  const auto second = window.advance(41, 60.0);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->end_step, 43) << "two steps ahead, however long a step takes";
  EXPECT_GT(second->id, first.id);
}

TEST(LeaseWindow, IsAboutASecondOfSteps) {
  LeaseWindow window(policy_of(10'000), 0);
  window.open();
  std::int64_t step = 0;
  for (; step < 200; ++step) window.advance(step + 1, 0.02);
  EXPECT_LE(window.end() - window.newest(), 50);
  EXPECT_GE(window.end() - window.newest(), 25);
  for (; step < 400; ++step) window.advance(step + 1, 1e-9);
  EXPECT_LE(window.end() - window.newest(), 256) << "bounded, however fast steps are";
}

TEST(LeaseWindow, NobodyWaitsForIt) {
  for (const double seconds : {0.0, 0.001, 0.3, 100.0}) {
    LeaseWindow window(policy_of(500), 0);
    window.open();
    for (std::int64_t step = 1; step < 500; ++step) {
      ASSERT_GE(window.end(), step);
      window.advance(step, seconds);
      ASSERT_GT(window.end(), step) << "the step after " << step << " is granted as soon as it is taken";
    }
    EXPECT_TRUE(window.last());
    EXPECT_EQ(window.end(), 500);
  }
}

TEST(LeaseWindow, AGenerationMayEndBeforeTheRun) {
  LeaseWindow window(policy_of(100), 10);
  window.open();
  window.advance(11, 60.0);
  const std::int64_t granted = window.end();
  const auto grant = window.regroup();
  ASSERT_TRUE(grant);
  EXPECT_EQ(grant->end_step, granted) << "where the grants end, so that nobody has gone beyond";
  EXPECT_TRUE(grant->last && grant->regroup);
  EXPECT_FALSE(grant->stop);
  EXPECT_TRUE(window.last() && window.regroups());
  EXPECT_FALSE(window.stops());
  EXPECT_FALSE(window.regroup()) << "said once";
  EXPECT_FALSE(window.stop()) << "nothing follows the last grant";
  EXPECT_FALSE(window.finish());
  EXPECT_FALSE(window.advance(12, 60.0));
  EXPECT_FALSE(window.limit(90));
  const Lease lease = lease_of(*grant, lanes_of(0, 2, 12));
  EXPECT_TRUE(lease.last && lease.regroup);
}

TEST(LeaseWindow, TheRunsLastGrantIsNoRegrouping) {
  LeaseWindow at_end(policy_of(11), 10), stopped(policy_of(100), 10);
  EXPECT_TRUE(at_end.open().last);
  EXPECT_FALSE(at_end.regroup());
  EXPECT_FALSE(at_end.regroups());
  stopped.open();
  EXPECT_TRUE(stopped.stop());
  EXPECT_FALSE(stopped.regroup());
  EXPECT_FALSE(stopped.regroups());
}

TEST(LeaseWindow, WaitsAtItsLimit) {
  LeaseWindow window(policy_of(100), 0);
  EXPECT_FALSE(window.limit(0)) << "nothing is granted before open()";
  EXPECT_EQ(window.open().end_step, 0) << "the start model is to be measured first";
  const auto first = window.limit(5);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->end_step, 2);
  for (std::int64_t step = 1; step <= 5; ++step) {
    window.advance(step, 0.001);
    EXPECT_LE(window.end(), 5);
  }
  EXPECT_EQ(window.end(), 5);
  EXPECT_FALSE(window.last());
  EXPECT_FALSE(window.limit(3)) << "it does not fall";
  const auto more = window.limit(10);
  ASSERT_TRUE(more);
  EXPECT_EQ(more->end_step, 10);
  EXPECT_FALSE(more->last);
}

TEST(LeaseWindow, FinishesWhereItStands) {
  LeaseWindow window(policy_of(100), 4);
  window.limit(5);
  window.open();
  window.advance(5, 0.1);
  const auto last = window.finish();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->end_step, 5);
  EXPECT_TRUE(last->last);
  EXPECT_FALSE(last->stop) << "the run is trained to its end";
  EXPECT_FALSE(window.finish());
  EXPECT_FALSE(window.stop());
  EXPECT_FALSE(window.limit(90));
}

TEST(LeaseWindow, TheLastLeaseEndsTheRun) {
  LeaseWindow window(policy_of(3), 0);
  EXPECT_FALSE(window.open().last);
  const auto last = window.advance(1, 0.1);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->end_step, 3);
  EXPECT_TRUE(last->last);
  EXPECT_FALSE(last->stop);
  EXPECT_FALSE(window.advance(2, 0.1));
  EXPECT_FALSE(window.advance(3, 0.1));
}

TEST(LeaseWindow, WithNothingLeftTheFirstLeaseIsTheLast) {
  LeaseWindow window(policy_of(12), 12);
  const Grant grant = window.open();
  EXPECT_EQ(grant.end_step, 12);
  EXPECT_TRUE(grant.last);
  EXPECT_FALSE(grant.stop);
}

TEST(LeaseWindow, AStopEndsWhereTheGrantedStepsEnd) {
  LeaseWindow window(policy_of(100), 0);
  window.open();
  window.advance(1, 10);
  const auto stop = window.stop();
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->end_step, 3);
  EXPECT_TRUE(stop->last);
  EXPECT_TRUE(stop->stop);
  EXPECT_FALSE(window.stop()) << "once";
  EXPECT_FALSE(window.advance(2, 10)) << "nothing follows the last lease";
}

TEST(LeaseWindow, AStopCannotChangeALastLease) {
  LeaseWindow window(policy_of(1), 0);
  EXPECT_TRUE(window.open().last);
  EXPECT_FALSE(window.stop());
  EXPECT_FALSE(window.stops());
}

TEST(LeaseWindow, OldStepsAndOddDurationsChangeNothing) {
  LeaseWindow window(policy_of(100), 10);
  window.open();
  window.advance(11, 1);
  EXPECT_FALSE(window.advance(11, 1));
  EXPECT_FALSE(window.advance(5, 1));
  EXPECT_EQ(window.newest(), 11);
  for (const double odd : {-1.0, 0.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    window.advance(window.newest() + 1, odd);
    EXPECT_EQ(window.end(), window.newest() + 2);
  }
}

TEST(LeaseWindow, NeverFallsAndSaysLastOnce) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    const auto steps = static_cast<std::int64_t>(random() % 60 + 1),
               start = static_cast<std::int64_t>(random()) % (steps + 1);
    LeaseWindow window(policy_of(steps), start);
    Grant newest = window.open();
    int lasts = newest.last ? 1 : 0;
    const auto take = [&](const std::optional<Grant>& grant) {
      if (!grant) return;
      ASSERT_GE(grant->end_step, newest.end_step);
      ASSERT_LE(grant->end_step, steps);
      ASSERT_FALSE(newest.last);
      lasts += grant->last ? 1 : 0;
      newest = *grant;
    };
    for (std::int64_t step = start; step < newest.end_step;) {
      if (random() % 40 == 0) take(window.stop());
      take(window.advance(++step, static_cast<double>(random() % 1000) / 1000));
    }
    EXPECT_EQ(lasts, 1);
    EXPECT_EQ(newest.last, true);
  }
}

TEST(LeaseOf, GivesEachRankItsLanes) {
  Grant grant;
  grant.end_step = 7, grant.last = true, grant.id = LeaseId(3);
  int next = 0;
  for (int rank = 0; rank < 5; ++rank) {
    const Lease lease = lease_of(grant, lanes_of(rank, 5, 12));
    EXPECT_EQ(lease.lane_begin, next);
    EXPECT_EQ(lease.end_step, 7);
    EXPECT_TRUE(lease.last);
    EXPECT_EQ(lease.id, LeaseId(3));
    next = lease.lane_end;
  }
  EXPECT_EQ(next, 12);
}

}  // namespace
}  // namespace plumbline
