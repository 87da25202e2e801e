#include "coordinator/command/watch_view.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/core/utf8.hpp"

namespace plumbline {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Json status() {
  return {{"run", "runs/tiny"},
          {"name", "tiny"},
          {"state", "training"},
          {"generation", 2},
          {"step", 120},
          {"steps", 400},
          {"epoch", 1.5},
          {"loss", 2.25},
          {"norms", {{"polite", {{"loss", 1.5}}}}},
          {"heldout", {{"step", 100}, {"norms", {{"polite", {{"loss", 1.75}}}}}}},
          {"tokens_per_second", 812.4},
          {"eta_seconds", 75.0},
          {"workers",
           {{{"rank", 0},
             {"host", "n1"},
             {"pid", 7},
             {"phase", "training"},
             {"step", 120},
             {"lanes", {0, 6}},
             {"seconds_since_heartbeat", 0.1}},
            {{"rank", 1},
             {"host", "n2"},
             {"pid", 8},
             {"phase", "training"},
             {"step", 120},
             {"lanes", {6, 12}},
             {"seconds_since_heartbeat", 0.2}}}},
          {"last_checkpoint", {{"step", 100}, {"weights_sha256", std::string(64, 'a')}}},
          {"restarts", 1},
          {"uptime_seconds", 60.0}};
}
const LossCurves kLosses{{"polite", {4, 3, 2, 1.5}}};
JournalEntry event(std::int64_t seq, const std::string& name, Json data) {
  return {seq, "2026-11-24T10:24:13.123456Z", name, std::move(data)};
}
std::vector<JournalEntry> events(int count) {
  std::vector<JournalEntry> events;
  for (int i = 1; i <= count; ++i) events.push_back(event(i, "checkpoint_committed", {{"step", i}}));
  return events;
}

TEST(Sparkline, FromTheLowestToTheHighest) {
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 80, true), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline({7, 0}, 80, false), "#_");
  EXPECT_EQ(sparkline({5, 5, 5}, 80, true), "▁▁▁") << "a flat line";
  EXPECT_EQ(sparkline({}, 80, true), "");
  EXPECT_EQ(sparkline({1, 2}, 0, true), "");
}

TEST(Sparkline, ManyValuesAreMeansOfNeighbours) {
  EXPECT_EQ(sparkline({0, 2, 8, 6}, 2, true), "▁█");
  std::vector<double> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  EXPECT_EQ(sparkline(values, 8, true), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(code_points(sparkline(values, 7, true)).size(), 7u) << "also where it does not divide";
}

TEST(WatchScreen, ShowsTheRunItsNormsWorkersAndEvents) {
  EXPECT_THAT(watch_screen(status(), kLosses, {event(9, "worker_lost", {{"rank", 1}, {"reason", "it is gone"}})}, {}),
              ElementsAre("tiny  training  runs/tiny", "step 120 of 400  epoch 1.5000  loss 2.2500",
                          "███████░░░░░░░░░░░░░░░░░ 30%  812 tokens/s  about 1 min 15 s left",
                          "generation 2  restarts 1  checkpoint of step 100, weights aaaaaaaaaaaa",
                          "polite    1.5000  █▅▂▁  held-out 1.7500 at step 100",
                          "rank 0  n1  training  lanes 0 to 5  step 120  heard 0.1 s ago",
                          "rank 1  n2  training  lanes 6 to 11  step 120  heard 0.2 s ago",
                          "10:24:13 worker lost  rank 1  it is gone"));
}

TEST(WatchScreen, FitsAnyScreen) {
  for (const std::size_t columns : {1, 2, 10, 39, 40, 79, 80, 500})
    for (const std::size_t rows : {0, 1, 2, 5, 8, 24, 200}) {
      const auto lines = watch_screen(status(), kLosses, events(30), {columns, rows});
      EXPECT_LE(lines.size(), std::max<std::size_t>(rows, 2) - 1);
      for (const std::string& line : lines) EXPECT_LE(code_points(line).size(), columns) << line;
    }
}

TEST(WatchScreen, NewEventsAreShownBeforeOldOnes) {
  const auto lines = watch_screen(status(), kLosses, events(30), {80, 10});
  EXPECT_EQ(lines.back(), "10:24:13 checkpoint committed  step 30");
  EXPECT_EQ(lines.size(), 9u);
}

TEST(WatchScreen, NothingOfAFileSteersTheTerminal) {
  Json hostile = status();
  const std::string escape =
      "\033[2J\033]0;owned\007\xc2\x9b"
      "1A\r\n";
  hostile["name"] = hostile["state"] = hostile["run"] = escape;
  hostile["workers"][0]["host"] = hostile["workers"][0]["phase"] = escape;
  hostile["last_checkpoint"]["weights_sha256"] = escape;
  const auto lines = watch_screen(hostile, {{escape, {1.0}}}, {event(1, escape, {{"reason", escape}})}, {});
  EXPECT_THAT(lines, Each(Not(testing::ContainsRegex("[\001-\037\177]"))));
  EXPECT_THAT(watch_line(hostile), Not(testing::ContainsRegex("[\001-\037\177]")));
}

TEST(WatchScreen, AStatusOfAnotherVersionIsShownAsFarAsItGoes) {
  for (const Json& other : {Json(), Json::array(), Json::object(), Json{{"workers", 3}, {"step", "x"}, {"heldout", 1}},
                            Json{{"workers", {1, "a", nullptr}}, {"last_checkpoint", "none"}}}) {
    EXPECT_FALSE(watch_screen(other, {}, {}, {}).empty());
    EXPECT_FALSE(watch_line(other).empty());
    static_cast<void>(without_clocks(other));
  }
}

TEST(WatchLine, SaysTheSameInOneLine) {
  EXPECT_EQ(watch_line(status()),
            "training  step 120 of 400  loss 2.2500  812 tokens/s  about 1 min 15 s left  generation 2  checkpoint of "
            "step 100");
}

TEST(WithoutClocks, TimeAloneIsNoChange) {
  Json later = status(), trained = status();
  later["uptime_seconds"] = 61.0;
  later["workers"][0]["seconds_since_heartbeat"] = 0.3;
  trained["step"] = 121;
  EXPECT_EQ(without_clocks(later), without_clocks(status()));
  EXPECT_NE(without_clocks(trained), without_clocks(status()));
}

TEST(WatchScreen, OfACrowdTheCountsStandBeforeThoseWhoAreListed) {
  Json crowd = status(), later = status();
  for (Json* said : {&crowd, &later}) {
    (*said)["num_workers"] = 10'000, (*said)["num_hosts"] = 1'250;
    (*said)["phases"] = {{"training", 10'000}};
  }
  later["workers"].erase(0);
  EXPECT_THAT(watch_screen(crowd, {}, {}, {}), testing::Contains("10000 workers on 1250 hosts: 10000 training"));
  EXPECT_EQ(without_clocks(later), without_clocks(crowd)) << "others were heard from longest ago: no change";
}

TEST(IsOver, WhenNobodyServesTheRun) {
  EXPECT_FALSE(is_over(status()));
  for (const char* state : {"created", "stopped", "finished", "failed", "interrupted"})
    EXPECT_TRUE(is_over({{"state", state}, {"uptime_seconds", nullptr}})) << state;
  EXPECT_FALSE(is_over({{"state", "running"}, {"uptime_seconds", nullptr}})) << "on a host that cannot be asked";
}

}  // namespace
}  // namespace plumbline
