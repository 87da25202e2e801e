#include "worker/optimizer/optimizer.hpp"

#include <gtest/gtest.h>

namespace plumbline {
namespace {

TEST(LearningRateTest, WarmsUpThenFollowsItsSchedule) {
  OptimizerConfig config;
  config.learning_rate = 2, config.warmup_steps = 10, config.final_fraction = 0.1;
  for (const char* schedule : {"cosine", "linear", "inverse_sqrt", "constant"}) {
    config.schedule = schedule;
    EXPECT_DOUBLE_EQ(learning_rate(config, 1, 110), 0.2) << schedule;
    EXPECT_DOUBLE_EQ(learning_rate(config, 10, 110), 2.0) << schedule;
    for (std::int64_t t = 11; t < 110; ++t)
      EXPECT_LE(learning_rate(config, t + 1, 110), learning_rate(config, t, 110)) << schedule;
  }
  config.schedule = "cosine";
  EXPECT_DOUBLE_EQ(learning_rate(config, 60, 110), 2 * 0.55);
  EXPECT_DOUBLE_EQ(learning_rate(config, 110, 110), 0.2);
  config.schedule = "linear";
  EXPECT_DOUBLE_EQ(learning_rate(config, 60, 110), 2 * 0.55);
  EXPECT_DOUBLE_EQ(learning_rate(config, 110, 110), 0.2);
  config.schedule = "inverse_sqrt";
  EXPECT_DOUBLE_EQ(learning_rate(config, 40, 110), 1.0);
  config.schedule = "constant";
  EXPECT_DOUBLE_EQ(learning_rate(config, 110, 110), 2.0);
  config.warmup_steps = 0;
  EXPECT_DOUBLE_EQ(learning_rate(config, 1, 1), 2.0);
}

}  // namespace
}  // namespace plumbline
