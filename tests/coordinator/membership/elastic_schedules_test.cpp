// Runs of an elastic group in which anything may go wrong, each by its seed: elastic_cluster.hpp says how the workers
// behave, elastic_actions.cpp what must hold at every action of the coordinator.
//
// PLUMBLINE_SCHEDULES=N runs N schedules of EverythingAtOnce instead of a few thousand; PLUMBLINE_SCHEDULE=SEED runs
// that one alone and prints what the coordinator did.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "tests/coordinator/membership/elastic_cluster.hpp"

namespace plumbline {
namespace {

using namespace std::chrono_literals;
using Dangers = ElasticCluster::Dangers;

RunFacts facts_from(std::uint64_t seed) {
  RunFacts facts;
  facts.elastic = true;
  facts.launcher = "local";
  facts.chooses_hosts = seed % 2 == 0;
  facts.workers = static_cast<int>(1 + seed % 5);
  facts.min_workers = static_cast<int>(1 + seed / 5 % static_cast<std::uint64_t>(facts.workers));
  facts.lease.steps = static_cast<std::int64_t>(1 + seed % 17);
  facts.spares = static_cast<int>(seed / 11 % 3 == 0 ? 1 + seed % 2 : 0);
  facts.max_restarts = static_cast<int>(1 + seed % 7);
  facts.hang_least = 15'000ms, facts.hang_unknown = 60'000ms;
  facts.worker_timeout = 10'000ms;
  facts.join_timeout = 20'000ms;
  facts.adopt_timeout = seed % 3 == 0 ? 3'000ms : 60'000ms;
  facts.regroup_timeout = 10'000ms;
  facts.failure_grace = 5'000ms;
  facts.finish_grace = 20'000ms;
  facts.terminate_grace = 500ms;
  facts.drain_grace = 5'000ms;
  facts.resume_command = "resume";
  return facts;
}

std::optional<std::uint64_t> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? std::nullopt : std::optional<std::uint64_t>(std::strtoull(text, nullptr, 10));
}

/// Runs a schedule for each seed below `count`, or the one that the environment names. `look` sees each that ended.
template <class Look>
void run_schedules(std::uint64_t count, const Dangers& dangers, const Look& look) {
  const auto chosen = number_in("PLUMBLINE_SCHEDULE");
  for (std::uint64_t seed = chosen.value_or(0); seed < (chosen ? *chosen + 1 : count); ++seed) {
    if (testing::Test::HasFailure()) return;
    SCOPED_TRACE("to see it again: PLUMBLINE_SCHEDULE=" + std::to_string(seed));
    ElasticCluster cluster(seed, facts_from(seed), dangers);
    const action::EndRun ended = cluster.run();
    look(cluster, ended);
    if (!chosen) continue;
    for (const std::string& reason : cluster.drive().reasons()) std::cout << reason << "\n";
  }
}

TEST(ElasticSchedules, WithoutFaultsOneGenerationFinishes) {
  run_schedules(500, {}, [](const ElasticCluster& cluster, const action::EndRun& ended) {
    EXPECT_EQ(ended.outcome, action::Outcome::kFinished);
    EXPECT_EQ(cluster.generations(), 1);
    EXPECT_TRUE(cluster.drive().all<action::KillWorker>().empty());
  });
}

TEST(ElasticSchedules, DeathsAreSurvived) {
  int finished = 0, joins = 0, from_files = 0, late = 0, given_up = 0, made_up = 0;
  run_schedules(1000, {.death = 40, .torn = 100}, [&](const ElasticCluster& cluster, const action::EndRun& ended) {
    finished += ended.outcome == action::Outcome::kFinished ? 1 : 0;
    joins += cluster.joins(), from_files += cluster.from_files();
    late += cluster.late_commits(), given_up += cluster.given_up(), made_up += cluster.made_up();
  });
  if (number_in("PLUMBLINE_SCHEDULE")) return;
  EXPECT_GT(finished, 500);
  EXPECT_GT(joins, 500) << "newcomers take part again";
  EXPECT_GT(from_files, 50) << "now and then nobody is left";
  EXPECT_GT(late, 1000) << "training goes on while a checkpoint is written";
  EXPECT_GT(given_up, 100) << "a generation breaks while a checkpoint is written";
  EXPECT_GT(made_up, 4) << "and the next one makes up for it";
}

TEST(ElasticSchedules, SilenceAndClocksThatJump) {
  int finished = 0;
  run_schedules(700, {.silence = 10, .jump = 5}, [&](const ElasticCluster&, const action::EndRun& ended) {
    finished += ended.outcome == action::Outcome::kFinished ? 1 : 0;
  });
  EXPECT_TRUE(finished > 300 || number_in("PLUMBLINE_SCHEDULE"));
}

TEST(ElasticSchedules, DamagedCheckpointsCostStepsAndNothingElse) {
  int fallen_back = 0;
  run_schedules(700, {.death = 100, .torn = 100, .damage = 40},
                [&](const ElasticCluster& cluster, const action::EndRun&) { fallen_back += cluster.fallen_back(); });
  EXPECT_TRUE(fallen_back > 20 || number_in("PLUMBLINE_SCHEDULE")) << "the schedules hold damage";
}

/// Nobody dies but coordinators, and those who could not join one: what the workers hold stays theirs.
TEST(ElasticSchedules, RestartsOfTheCoordinatorCostNoStep) {
  int restarts = 0, taken_over = 0;
  run_schedules(1500, {.restart = 15}, [&](const ElasticCluster& cluster, const action::EndRun& ended) {
    EXPECT_EQ(ended.outcome, action::Outcome::kFinished);
    if (cluster.drive().facts().adopt_timeout > 10s) {
      EXPECT_EQ(cluster.steps_taken(), cluster.drive().facts().lease.steps) << "a step was taken twice";
    }
    restarts += cluster.restarts(), taken_over += cluster.taken_over();
  });
  if (number_in("PLUMBLINE_SCHEDULE")) return;
  EXPECT_GT(restarts, 1500);
  EXPECT_GT(taken_over, 2000);
}

TEST(ElasticSchedules, CoordinatorsAndWorkersDie) {
  int finished = 0;
  run_schedules(1500, {.death = 30, .torn = 60, .damage = 10, .restart = 10},
                [&](const ElasticCluster&, const action::EndRun& ended) {
                  finished += ended.outcome == action::Outcome::kFinished ? 1 : 0;
                });
  EXPECT_TRUE(finished > 700 || number_in("PLUMBLINE_SCHEDULE"));
}

TEST(ElasticSchedules, RestartsWithFewerOrMoreWorkersCostNoStep) {
  int dismissed = 0;
  run_schedules(1500, {.restart = 15, .resized = 50}, [&](const ElasticCluster& cluster, const action::EndRun& ended) {
    EXPECT_EQ(ended.outcome, action::Outcome::kFinished);
    if (cluster.drive().facts().adopt_timeout > 10s) {
      EXPECT_EQ(cluster.steps_taken(), cluster.drive().facts().lease.steps) << "a step was taken twice";
    }
    dismissed += cluster.dismissed();
  });
  EXPECT_TRUE(dismissed > 100 || number_in("PLUMBLINE_SCHEDULE")) << "more are there than are wanted";
}

TEST(ElasticSchedules, ConnectionsBreakOfWorkersThatLive) {
  int finished = 0, taken_over = 0;
  run_schedules(1000, {.restart = 3, .cut = 40}, [&](const ElasticCluster& cluster, const action::EndRun& ended) {
    finished += ended.outcome == action::Outcome::kFinished ? 1 : 0;
    taken_over += cluster.taken_over();
  });
  if (number_in("PLUMBLINE_SCHEDULE")) return;
  EXPECT_GT(finished, 500);
  EXPECT_GT(taken_over, 500);
}

/// Whoever goes for it holds no step that the others do not hold too.
TEST(ElasticSchedules, WorkersThatCannotReachEachOtherArePartedWith) {
  int finished = 0, severed = 0, generations = 0, runs = 0;
  run_schedules(1000, {.sever = 15}, [&](const ElasticCluster& cluster, const action::EndRun& ended) {
    if (ended.outcome == action::Outcome::kFinished) {
      EXPECT_EQ(cluster.steps_taken(), cluster.drive().facts().lease.steps) << "a step was taken twice";
    }
    finished += ended.outcome == action::Outcome::kFinished ? 1 : 0;
    severed += cluster.severed(), generations += cluster.generations(), ++runs;
  });
  if (number_in("PLUMBLINE_SCHEDULE")) return;
  EXPECT_GT(finished, 950);
  EXPECT_GT(severed, 300);
  EXPECT_LT(generations, runs + 4 * severed) << "one without them, and others with who is launched again";
}

TEST(ElasticSchedules, StopsAtAnyTime) {
  int stopped = 0;
  run_schedules(700, {.death = 10, .stop = 60}, [&](const ElasticCluster&, const action::EndRun& ended) {
    stopped += ended.outcome == action::Outcome::kStopped ? 1 : 0;
  });
  EXPECT_TRUE(stopped > 300 || number_in("PLUMBLINE_SCHEDULE"));
}

TEST(ElasticSchedules, AWorkersOwnErrorEndsTheRun) {
  int failed = 0;
  run_schedules(500, {.failure = 30}, [&](const ElasticCluster& cluster, const action::EndRun& ended) {
    failed += ended.outcome == action::Outcome::kFailed ? 1 : 0;
    if (ended.outcome != action::Outcome::kFinished) {
      EXPECT_TRUE(cluster.failed_on_its_own());
    }
  });
  EXPECT_TRUE(failed > 100 || number_in("PLUMBLINE_SCHEDULE"));
}

/// The threads share the seeds among themselves.
TEST(ElasticSchedules, HungWorkersAreFoundOut) {
  int finished = 0;
  run_schedules(500, {.death = 5, .hang = 12}, [&](const ElasticCluster&, const action::EndRun& ended) {
    finished += ended.outcome == action::Outcome::kFinished ? 1 : 0;
  });
  EXPECT_TRUE(finished > 300 || number_in("PLUMBLINE_SCHEDULE"));
}

TEST(ElasticSchedules, EverythingAtOnce) {
  const Dangers dangers{.death = 25,
                        .torn = 60,
                        .silence = 6,
                        .failure = 2,
                        .refusal = 3,
                        .stop = 6,
                        .jump = 2,
                        .stale = 100,
                        .damage = 10,
                        .restart = 4,
                        .reconfigured = 8,
                        .cut = 6,
                        .hang = 3,
                        .sever = 6};
  const std::uint64_t count = number_in("PLUMBLINE_SCHEDULES").value_or(2000);
  if (const auto chosen = number_in("PLUMBLINE_SCHEDULE"))
    return run_schedules(count, dangers, [](const ElasticCluster&, const action::EndRun&) {});
  std::atomic<std::uint64_t> next = 0;
  std::array<std::atomic<int>, 3> outcomes{};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back([&] {
      for (std::uint64_t seed = next++; seed < count && !HasFailure(); seed = next++) {
        SCOPED_TRACE("to see it again: PLUMBLINE_SCHEDULE=" + std::to_string(seed));
        ElasticCluster cluster(seed, facts_from(seed), dangers);
        ++outcomes[static_cast<std::size_t>(cluster.run().outcome)];
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& outcome : outcomes) EXPECT_GT(outcome, 0) << "runs of every outcome";
}

}  // namespace
}  // namespace plumbline
