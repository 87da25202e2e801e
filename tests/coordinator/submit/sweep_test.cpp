#include "coordinator/submit/sweep.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> names(const std::vector<SweepRun>& runs) {
  std::vector<std::string> names;
  for (const SweepRun& run : runs) names.push_back(run.name);
  return names;
}

TEST(Sweep, NothingSweptIsOneRun) {
  const auto runs = expand_sweep({}).value();
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_TRUE(runs[0].overrides.empty());
}

TEST(Sweep, EveryCombinationInOrder) {
  const auto runs = expand_sweep({"seed=1,2", "norms.polite.beta=0.05,0.1"}).value();
  EXPECT_THAT(names(runs),
              ElementsAre("0-seed=1-beta=0.05", "1-seed=1-beta=0.1", "2-seed=2-beta=0.05", "3-seed=2-beta=0.1"));
  EXPECT_EQ(runs[3].overrides[1].key, "norms.polite.beta");
  EXPECT_EQ(runs[3].overrides[1].value, "0.1");
}

TEST(Sweep, CommasInBracketsDoNotPart) {
  const auto runs = expand_sweep({"snapshot.sizes=[8, 1],[4]", "model={init: a, x: [1,2]},{init: b}"}).value();
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[0].overrides[0].value, "[8, 1]");
  EXPECT_EQ(runs[0].overrides[1].value, "{init: a, x: [1,2]}");
  EXPECT_EQ(runs[0].name, "0-sizes=_8__1_-model=_init__a__x___1_2__") << "a name that needs no quotes";
}

TEST(Sweep, NumbersAreOfOneWidth) {
  const auto runs = expand_sweep({"seed=1,2,3,4,5,6,7,8,9,10,11"}).value();
  EXPECT_EQ(runs.front().name, "00-seed=1");
  EXPECT_EQ(runs.back().name, "10-seed=11");
}

TEST(Sweep, WhatIsNoSweepIsSaid) {
  for (const char* item : {"seed", "=1", "seed=", "seed=1,,2", "seed=1,2,1"}) {
    const auto runs = expand_sweep({item});
    ASSERT_TRUE(runs.has_error()) << item;
    EXPECT_EQ(runs.error().code, ErrorCode::kUsage);
  }
  EXPECT_THAT(expand_sweep({"seed=1,2", "seed=3"}).error().message, HasSubstr("twice"));
  std::string many = "seed=0";
  for (int i = 1; i < 40; ++i) many += "," + std::to_string(i);
  EXPECT_THAT(expand_sweep({many, "a" + many}).error().message, HasSubstr("more than 1000"));
}

}  // namespace
}  // namespace plumbline
