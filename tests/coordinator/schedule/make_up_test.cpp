#include "coordinator/schedule/make_up.hpp"

#include <gtest/gtest.h>

namespace plumbline {
namespace {

TEST(MakeUp, IsDueAtTheFirstStepOfAGenerationThatBeginsBehindOneThatWasDue) {
  EXPECT_EQ(make_up_step({.every = 10, .committed = 90, .start = 103, .given_up = 0}), 104);
  EXPECT_EQ(make_up_step({.every = 10, .committed = 0, .start = 12, .given_up = 0}), 13) << "the first one of all";
  EXPECT_EQ(make_up_step({.every = 10, .committed = 90, .start = 127, .given_up = 0}), 128) << "two were due";
}

TEST(MakeUp, NothingIsMadeUpForWhereNothingIsMissing) {
  EXPECT_FALSE(make_up_step({.every = 10, .committed = 100, .start = 103, .given_up = 0}));
  EXPECT_FALSE(make_up_step({.every = 10, .committed = 102, .start = 103, .given_up = 0}))
      << "a stop's, or one made up";
  EXPECT_FALSE(make_up_step({.every = 10, .committed = 0, .start = 7, .given_up = 0})) << "none was due yet";
  EXPECT_FALSE(make_up_step({.every = 10, .committed = 0, .start = 0, .given_up = 0}));
  EXPECT_FALSE(make_up_step({.every = 10, .committed = 90, .start = 100, .given_up = 0})) << "it is due at the start";
  EXPECT_FALSE(make_up_step({.every = 1, .committed = 90, .start = 100, .given_up = 0}));
  EXPECT_FALSE(make_up_step({.every = 0, .committed = 0, .start = 100, .given_up = 0}));
}

TEST(MakeUp, LeavesTheNextOneThatIsDueAlone) {
  EXPECT_EQ(make_up_step({.every = 10, .committed = 90, .start = 108, .given_up = 0}), 109);
  EXPECT_FALSE(make_up_step({.every = 10, .committed = 90, .start = 109, .given_up = 0}));
  EXPECT_FALSE(make_up_step({.every = 10, .committed = 90, .start = 103, .given_up = 3})) << "103 + 8 is past 110";
  EXPECT_FALSE(make_up_step({.every = 10, .committed = 90, .start = 103, .given_up = 1'000'000}));
}

/// Every generation breaks one step after it has begun to save.
TEST(MakeUp, AStormOfFaultsCopiesOnlyNowAndThen) {
  std::int64_t start = 1001;
  int copies = 0;
  for (int given_up = 0;; ++given_up) {
    const auto step = make_up_step({.every = 1000, .committed = 0, .start = start, .given_up = given_up});
    if (!step) break;
    EXPECT_GT(*step, start);
    EXPECT_LT(*step, 2000);
    start = *step + 1;
    ++copies;
  }
  EXPECT_EQ(copies, 9) << "2^9 steps of the thousand";
}

}  // namespace
}  // namespace plumbline
