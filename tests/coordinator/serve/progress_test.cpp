#include "coordinator/serve/progress.hpp"

#include <gtest/gtest.h>

#include "coordinator/serve/status.hpp"

namespace plumbline {
namespace {

Json step(std::int64_t number, double seconds = 2.0) {
  return {{"kind", "train"},
          {"step", number},
          {"epoch", 0.5},
          {"loss", 1.25},
          {"seconds", seconds},
          {"tokens_per_second", 100.0},
          {"norms", {{"polite", {{"loss", 1.5}, {"rewards/margins", 0.25}}}}}};
}

TEST(Progress, BeforeAnythingIsKnown) {
  const Json status = Progress().describe(10);
  EXPECT_EQ(status.at("step"), 0);
  for (const char* key : {"loss", "epoch", "heldout", "tokens_per_second", "eta_seconds"})
    EXPECT_TRUE(status.at(key).is_null()) << key;
  EXPECT_TRUE(status.at("norms").is_object());
}

TEST(Progress, TheNewestNumbers) {
  Progress progress;
  progress.add(step(1)), progress.add(step(2));
  progress.add({{"kind", "heldout"}, {"step", 2}, {"norms", {{"polite", {{"loss", 3.0}}}}}});
  const Json status = progress.describe(10);
  EXPECT_EQ(status.at("step"), 2);
  EXPECT_EQ(status.at("loss"), 1.25);
  EXPECT_EQ(status.at("norms").at("polite").at("loss"), 1.5);
  EXPECT_EQ(status.at("heldout").at("step"), 2);
  EXPECT_DOUBLE_EQ(status.at("tokens_per_second").get<double>(), 100.0);
  EXPECT_DOUBLE_EQ(status.at("eta_seconds").get<double>(), 16.0);
}

TEST(Progress, OddLinesAreNoHarm) {
  Progress progress;
  for (const Json& odd : {Json(), Json(3), Json::array(), Json{{"kind", 4}}, Json{{"kind", "train"}},
                          Json{{"kind", "train"}, {"step", "x"}, {"seconds", Json()}, {"norms", 3}}})
    progress.add(odd);
  static_cast<void>(progress.describe(10));
}

TEST(StatusText, IsAFewAlignedLines) {
  Progress progress;
  progress.add(step(3));
  Json status = progress.describe(10);
  status["run"] = "runs/tiny", status["name"] = "tiny", status["state"] = "training", status["steps"] = 10,
  status["restarts"] = 1;
  status["last_checkpoint"] = {{"step", 2}, {"weights_sha256", "abcd"}};
  status["workers"] = {{{"rank", 0},
                        {"host", "here"},
                        {"pid", 7},
                        {"phase", "training"},
                        {"step", 3},
                        {"seconds_since_heartbeat", 0.1}}};
  status["uptime_seconds"] = 75.0;
  EXPECT_EQ(status_text(status),
            "run          runs/tiny (tiny)\n"
            "state        training\n"
            "step         3 of 10  epoch 0.50  loss 1.2500\n"
            "speed        100 tokens/s  about 14 s of training left\n"
            "norm         polite  loss 1.5000  rewards/margins 0.2500\n"
            "checkpoint   step 2  weights abcd\n"
            "worker       rank 0 training on here (pid 7), step 3, heard 0.1 s ago\n"
            "restarts     1\n"
            "up for       1 min 15 s\n");
  status["last_checkpoint"] = Json(), status["workers"] = Json::array(), status["uptime_seconds"] = Json();
  EXPECT_NE(status_text(status).find("checkpoint   none yet"), std::string::npos);
}

}  // namespace
}  // namespace plumbline
