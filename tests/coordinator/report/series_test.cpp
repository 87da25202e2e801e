#include "coordinator/report/series.hpp"

#include <gtest/gtest.h>

#include "coordinator/report/events.hpp"

namespace plumbline {
namespace {

TEST(Series, SumsPhasesAndKeepsNormsApart) {
  std::vector<Json> metrics;
  for (int step = 1; step <= 10; ++step)
    metrics.push_back({{"kind", "train"},
                       {"step", step},
                       {"loss", 2.0},
                       {"seconds", 1.0},
                       {"source_tokens", 100},
                       {"output_tokens", 50},
                       {"time", "2026-11-24T10:00:0" + std::to_string(step % 10) + "Z"},
                       {"phase_seconds", {{"forward", 0.4}, {"backward", 0.5}, {"checkpoint", 0.2}}},
                       {"norms", {{"a", {{"loss", step}}}, {"b", {{"loss", "broken"}}}}}});
  metrics.push_back({{"kind", "heldout"}, {"step", 10}, {"norms", {{"a", {{"loss", 3.5}}}}}});
  metrics.push_back("no object");
  metrics.push_back({{"kind", "train"}});
  const Json series = training_series(metrics);
  EXPECT_EQ(series.at("steps"), 10);
  EXPECT_EQ(series.at("lines_per_point"), 1);
  EXPECT_DOUBLE_EQ(series.at("seconds"), 10);
  EXPECT_DOUBLE_EQ(series.at("source_tokens"), 1000);
  EXPECT_NEAR(series.at("phases").at("forward"), 4, 1e-9);
  EXPECT_NEAR(series.at("phases").at("checkpoint"), 2, 1e-9);
  EXPECT_NEAR(series.at("phases").at("other"), 1, 1e-9) << "of what the seconds of steps have";
  EXPECT_EQ(series.at("train").at("a").at("loss").size(), 10u);
  EXPECT_TRUE(series.at("train").at("b").empty());
  EXPECT_EQ(series.at("heldout").at("a").at("loss").at(0), Json::array({10, 3.5}));
  EXPECT_FALSE(series.at("run").contains("grad_norm"));
}

TEST(Series, AreThinnedToMeans) {
  std::vector<Json> metrics;
  for (int step = 1; step <= 601; ++step) metrics.push_back({{"kind", "train"}, {"step", step}, {"loss", step}});
  const Json loss = training_series(metrics).at("run").at("loss");
  ASSERT_EQ(loss.size(), 201u);  // 3 lines a point
  EXPECT_EQ(loss.at(0), Json::array({3, 2}));
  EXPECT_EQ(loss.at(200), Json::array({601, 601}));
  EXPECT_TRUE(training_series({}).at("train").empty());
}

TEST(Events, ListWhatHappenedAndCountTheRoutine) {
  std::string journal;
  for (int i = 0; i < 100; ++i)
    journal += R"({"seq":1,"time":"2026-11-24T10:00:00Z","event":"step_committed","data":{"step":1}})"
               "\n";
  journal +=
      R"({"seq":101,"time":"2026-11-24T10:01:00Z","event":"worker_lost","data":{"rank":1,"reason":"killed"},"checksum":7})"
      "\n";
  journal +=
      "\n"
      R"({"event":"odd","data":"text","time":5})"
      "\n"
      R"([1,2])"
      "\n"
      R"({"event":"cut)";
  const Json json = journal_events(journal);
  ASSERT_EQ(json.at("events").size(), 2u);
  EXPECT_EQ(json.at("events").at(0).at("event"), "worker_lost");
  EXPECT_EQ(json.at("events").at(0).at("data"),
            Json::array({Json::array({"rank", "1"}), Json::array({"reason", "killed"})}));
  EXPECT_EQ(json.at("events").at(1).at("data").at(0).at(1), "text");
  EXPECT_EQ(json.at("routine").at(0).at("count"), 100);
  EXPECT_EQ(json.at("unreadable"), 2);
  EXPECT_EQ(json.at("left_out"), 0);
}

TEST(Events, AreBounded) {
  std::string journal;
  for (int i = 0; i < 500; ++i)
    journal += "{\"event\":\"e" + std::to_string(i) + "\",\"data\":{\"k\":\"" + std::string(5000, 'x') + "\"}}\n";
  const Json json = journal_events(journal);
  EXPECT_EQ(json.at("events").size(), kMostEvents);
  EXPECT_EQ(json.at("left_out"), 300);
  EXPECT_EQ(json.at("events").at(199).at("event"), "e499");
  EXPECT_LT(json.dump().size(), 100000u);
}

}  // namespace
}  // namespace plumbline
