#include "common/record/metrics.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class MetricsTest : public ScratchTest {
 protected:
  void train(std::int64_t step, int take = 1) { append("train", step, take); }
  void held_out(std::int64_t step, int take = 1) { append("heldout", step, take); }
  /// What is left, as "t3" or "h4", with the take behind a ' for every one beyond the first.
  std::vector<std::string> kept() {
    std::vector<std::string> names;
    for (const Json& line : read_metrics(file("metrics.jsonl")).value())
      names.push_back(line["kind"].get<std::string>().substr(0, 1) + std::to_string(line["step"].get<int>()) +
                      std::string(static_cast<std::size_t>(line["take"].get<int>() - 1), '\''));
    return names;
  }

 private:
  void append(const char* kind, std::int64_t step, int take) {
    ASSERT_TRUE(append_metrics(file("metrics.jsonl"), {{"kind", kind}, {"step", step}, {"take", take}}).has_value());
  }
};

TEST_F(MetricsTest, LinesComeBackInOrder) {
  held_out(0);
  train(1);
  train(2);
  held_out(2);
  train(3);
  EXPECT_THAT(kept(), ElementsAre("h0", "t1", "t2", "h2", "t3"));
}

TEST_F(MetricsTest, ARestartVoidsWhatWasTakenSinceItsCheckpoint) {
  held_out(0);
  for (int step = 1; step <= 6; ++step) train(step);
  held_out(6);
  train(7);
  train(5, 2);  // taken up again from the checkpoint of step 4
  EXPECT_THAT(kept(), ElementsAre("h0", "t1", "t2", "t3", "t4", "t5'"));
  train(6, 2);
  held_out(6, 2);
  EXPECT_THAT(kept(), ElementsAre("h0", "t1", "t2", "t3", "t4", "t5'", "t6'", "h6'"));
}

TEST_F(MetricsTest, AMeasurementCanBeTheFirstLineAfterARestart) {
  for (int step = 1; step <= 6; ++step) train(step);
  held_out(4, 2);  // from the checkpoint of step 4, measured before the next step
  EXPECT_THAT(kept(), ElementsAre("t1", "t2", "t3", "t4", "h4'"));
}

TEST_F(MetricsTest, ASecondMeasurementOfAStepCountsAndItsStepStays) {
  train(1);
  held_out(1);
  held_out(1, 2);  // lost after the last checkpoint, measured again
  EXPECT_THAT(kept(), ElementsAre("t1", "h1'"));
}

TEST_F(MetricsTest, ARestartFromTheStartModelVoidsAll) {
  held_out(0);
  train(1);
  train(2);
  held_out(0, 2);
  EXPECT_THAT(kept(), ElementsAre("h0'"));
}

TEST_F(MetricsTest, RestartsCanFollowEachOther) {
  for (int step = 1; step <= 9; ++step) train(step);
  for (int step = 5; step <= 7; ++step) train(step, 2);
  for (int step = 3; step <= 4; ++step) train(step, 3);
  EXPECT_THAT(kept(), ElementsAre("t1", "t2", "t3''", "t4''"));
}

TEST_F(MetricsTest, ALastLineThatACrashCutIsPassedOver) {
  train(1);
  put("metrics.jsonl", content("metrics.jsonl") + "{\"kind\":\"tra");
  EXPECT_THAT(kept(), ElementsAre("t1"));
  train(2);
  EXPECT_THAT(kept(), ElementsAre("t1", "t2")) << "and gone with the next one";
  EXPECT_TRUE(read_metrics(put("empty.jsonl", "")).value().empty());
}

TEST_F(MetricsTest, AWrongLineIsNamed) {
  const std::string good = "{\"kind\":\"train\",\"step\":1}\n";
  for (const char* bad :
       {"{\"kind\":\"train\"", "[]", "7", "", "{\"step\":1}", "{\"kind\":\"train\",\"step\":\"1\"}"}) {
    const auto lines = read_metrics(put("metrics.jsonl", good + bad + "\n"));
    ASSERT_TRUE(lines.has_error()) << bad;
    EXPECT_EQ(lines.error().where, file("metrics.jsonl").string() + ":2") << bad;
  }
  EXPECT_EQ(read_metrics(file("absent")).error().where, file("absent").string());
}

TEST(MeasuredRate, IsTheMeanOverTheNormsThatHaveOne) {
  const auto line = [](const Json& norms) { return Json{{"kind", "heldout"}, {"step", 4}, {"norms", norms}}; };
  EXPECT_EQ(measured_rate(
                line({{"a", {{"undesirable_rate", 0.5}}}, {"b", {{"undesirable_rate", 0.25}}}, {"c", {{"loss", 1}}}})),
            (MeasuredRate{4, 0.375}));
  EXPECT_FALSE(measured_rate(line({{"a", {{"loss", 0.5}}}}))) << "nothing was judged";
  for (const Json& bad : {Json(1.5), Json(-0.5), Json("0.5"), Json(std::nan(""))})
    EXPECT_FALSE(measured_rate(line({{"a", {{"undesirable_rate", bad}}}}))) << bad;
  EXPECT_FALSE(measured_rate({{"kind", "train"}, {"step", 4}, {"norms", {{"a", {{"undesirable_rate", 0.5}}}}}}));
  EXPECT_FALSE(measured_rate({{"kind", "heldout"}, {"step", "4"}, {"norms", {{"a", {{"undesirable_rate", 0.5}}}}}}));
  for (const Json& other : {Json(), Json(3), Json::array(), line(3), line({{"a", 3}})})
    EXPECT_FALSE(measured_rate(other));
}

TEST_F(MetricsTest, ALineIsBounded) {
  const std::string line = "{\"kind\":\"train\",\"step\":1,\"x\":\"" + std::string(17u << 20, 'x') + "\"}\n";
  EXPECT_THAT(read_metrics(put("metrics.jsonl", line)).error().message, HasSubstr("longer than"));
}

}  // namespace
}  // namespace plumbline
