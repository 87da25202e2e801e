#include "coordinator/command/options.hpp"

#include <gmock/gmock.h>

namespace plumbline {
namespace {

using ::testing::HasSubstr;

TEST(ParseOverrides, SplitsAtTheFirstEqualsSign) {
  const auto overrides = parse_overrides({"train.steps=200", "name=a=b", "data="});
  ASSERT_TRUE(overrides.has_value());
  ASSERT_EQ(overrides->size(), 3U);
  EXPECT_EQ(overrides->at(0).key, "train.steps");
  EXPECT_EQ(overrides->at(0).value, "200");
  EXPECT_EQ(overrides->at(1).value, "a=b");
  EXPECT_EQ(overrides->at(2).value, "");
}

TEST(ParseOverrides, SaysHowToWriteOne) {
  for (const char* item : {"train.steps", "=200", ""}) {
    const auto overrides = parse_overrides({item});
    ASSERT_TRUE(overrides.has_error());
    EXPECT_EQ(overrides.error().code, ErrorCode::kUsage);
    EXPECT_THAT(overrides.error().hint, HasSubstr("--set key=value"));
  }
}

TEST(TextOverride, IsTakenAsTextWhateverItLooksLike) {
  for (const std::string text : {"plain", "a: b", "it's # here", "[1, 2]", "7", "~", "true", "C:\\x\"y"}) {
    const auto config = parse_run_config("name: x\ndata: y\n", "c.yaml", {text_override("data", text)});
    ASSERT_TRUE(config.has_value()) << to_string(config.error());
    EXPECT_EQ(config->data, text);
  }
}

}  // namespace
}  // namespace plumbline
