#include "common/core/check.hpp"

#include <gtest/gtest.h>

namespace plumbline {
namespace {

TEST(CheckDeathTest, SaysRankPlaceConditionAndMessage) {
  EXPECT_DEATH(PLUMBLINE_CHECK(1 == 2, "numbers drift"),
               "check_test\\.cpp:[0-9]+: check failed: 1 == 2: numbers drift");
  EXPECT_DEATH(
      {
        set_check_rank(3);
        PLUMBLINE_CHECK(false, "lost");
      },
      "rank 3: .*check_test\\.cpp:[0-9]+: check failed: false: lost");
}

TEST(CheckTest, ATrueConditionCostsNothingAndDoesNotMakeTheMessage) {
  const auto message = []() -> std::string {
    ADD_FAILURE() << "the message was made";
    return {};
  };
  PLUMBLINE_CHECK(true, message());
}

}  // namespace
}  // namespace plumbline
