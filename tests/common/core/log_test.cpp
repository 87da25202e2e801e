#include "common/core/log.hpp"

#include <gmock/gmock.h>
#include <spdlog/spdlog.h>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class LogTest : public ScratchTest {
 protected:
  ~LogTest() override { static_cast<void>(init_log({})); }
};

TEST_F(LogTest, AFileLineHasTimeLevelAndMessage) {
  ASSERT_TRUE(init_log({"trace", file("worker-0000.log"), false}).has_value());
  spdlog::warn("the {} is {}", "loss", 1.5);
  EXPECT_THAT(content("worker-0000.log"), MatchesRegex("[0-9-]{10}T[0-9:]{8}\\.[0-9]{6}Z WARN the loss is 1\\.5\n"))
      << "and it is there at once";
}

TEST_F(LogTest, LevelsHaveTheirNamesAndTheLeastIsKept) {
  ASSERT_TRUE(init_log({"trace", file("all"), false}).has_value());
  spdlog::trace("m");
  spdlog::debug("m");
  spdlog::info("m");
  spdlog::error("m");
  for (const char* name : {" TRACE m\n", " DEBUG m\n", " INFO m\n", " ERROR m\n"})
    EXPECT_THAT(content("all"), HasSubstr(name));
  ASSERT_TRUE(init_log({"warn", file("some"), false}).has_value());
  spdlog::info("quiet");
  spdlog::warn("loud");
  EXPECT_THAT(content("some"), HasSubstr("WARN loud"));
  EXPECT_THAT(content("some"), Not(HasSubstr("quiet")));
}

TEST_F(LogTest, AMessageOfSeveralLinesStaysOneLine) {
  ASSERT_TRUE(init_log({"info", file("log"), false}).has_value());
  spdlog::error("here: it broke\n  mend it\r");
  EXPECT_THAT(content("log"), HasSubstr("ERROR here: it broke\\n  mend it\\r\n"));
}

TEST_F(LogTest, AnExistingFileIsAppendedTo) {
  put("log", "before\n");
  ASSERT_TRUE(init_log({"info", file("log"), false}).has_value());
  spdlog::info("after");
  EXPECT_THAT(content("log"), testing::StartsWith("before\n"));
  EXPECT_THAT(content("log"), HasSubstr("INFO after\n"));
}

TEST_F(LogTest, StandardErrorHasLevelAndMessage) {
  ASSERT_TRUE(init_log({}).has_value());
  testing::internal::CaptureStderr();
  spdlog::info("ready");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "INFO ready\n");
}

TEST_F(LogTest, WhatCannotBeIsAnError) {
  EXPECT_EQ(init_log({"loud", {}, true}).error().code, ErrorCode::kUsage);
  EXPECT_EQ(init_log({"info", file("absent/log"), false}).error().code, ErrorCode::kEnvironment);
  EXPECT_FALSE(std::filesystem::exists(file("absent")));
  EXPECT_EQ(init_log({"info", folder(), false}).error().where, folder().string());
}

}  // namespace
}  // namespace plumbline
