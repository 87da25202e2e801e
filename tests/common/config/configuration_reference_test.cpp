// docs/configuration.md is what the definitions say. To make it again after a change:
//   PLUMBLINE_WRITE_DOCS=1 build/release/bin/common_config_test --gtest_filter=ConfigurationReference.*
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "common/config/run_config.hpp"
#include "common/core/files.hpp"

namespace plumbline {
namespace {

TEST(ConfigurationReference, IsThePageInDocs) {
  const auto page = std::filesystem::path(PLUMBLINE_SOURCE_DIR) / "docs" / "configuration.md";
  if (std::getenv("PLUMBLINE_WRITE_DOCS") != nullptr) {
    ASSERT_TRUE(write_file_atomically(page, configuration_reference()));
  }
  EXPECT_EQ(read_file(page).value(), configuration_reference())
      << "docs/configuration.md differs from the definitions; the top of this test says how to make it again";
}

TEST(ConfigurationReference, HasEveryKeyThatIsWritten) {
  const std::string page = configuration_reference();
  RunConfig config;
  config.norms["NAME"] = {};
  const Json json = to_json(config);
  for (const auto& [section, keys] : json.items()) {
    if (section == "norms") continue;
    if (!keys.is_object()) {
      EXPECT_THAT(page, testing::HasSubstr(fmt::format("`{}`", section)));
      continue;
    }
    for (const auto& [key, value] : keys.items())
      EXPECT_THAT(page, testing::HasSubstr(fmt::format("`{}.{}`", section, key)));
  }
  EXPECT_THAT(page, testing::HasSubstr("`norms.NAME.objective`"));
}

}  // namespace
}  // namespace plumbline
