#include "common/core/clock.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace plumbline {
namespace {

TEST(ClockTest, TheSystemClockDoesNotGoBack) {
  const Clock clock = system_clock();
  const auto first = clock();
  EXPECT_LE(first, clock());
}

TEST(ClockTest, UtcIsWrittenWithMicroseconds) {
  EXPECT_THAT(utc_now(), testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z"));
  const std::string first = utc_now();
  EXPECT_LE(first, utc_now()) << "text order is time order";
}

}  // namespace
}  // namespace plumbline
