#include "coordinator/aggregate/desired_fall.hpp"

#include <gmock/gmock.h>

namespace plumbline {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Json held_out(int step, const std::string& norm, Json values) {
  return {{"kind", "heldout"}, {"step", step}, {"norms", {{norm, std::move(values)}}}};
}
Json chosen(int step, double value) { return held_out(step, "polite", {{"logps/chosen", value}, {"nll_loss", 9.0}}); }

TEST(DesiredFall, IsToldOnceAndStaysUntilItIsMended) {
  DesiredWatch watch;
  EXPECT_THAT(watch.add(chosen(0, -40)), IsEmpty());
  EXPECT_THAT(watch.add(chosen(10, -40.3)), IsEmpty()) << "less than one percent";
  const auto told = watch.add(chosen(20, -46));
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(to_string(told[0]), HasSubstr("On held-out examples of “polite”, training makes the desired outputs less "
                                            "likely: their mean log-probability fell from −40.00 at step 0 to −46.00 "
                                            "at step 20. A larger sft_weight"));
  EXPECT_THAT(watch.add(chosen(30, -50)), IsEmpty()) << "told already";
  ASSERT_THAT(watch.falls(), SizeIs(1));
  EXPECT_EQ(watch.falls()[0].now, -50);
  EXPECT_THAT(watch.add(chosen(40, -30)), IsEmpty());
  EXPECT_THAT(watch.falls(), IsEmpty());
}

TEST(DesiredFall, WithoutPairsIsReadFromTheLossOfATokenWithPairsNot) {
  DesiredWatch watch;
  watch.add(held_out(0, "mirror", {{"nll_loss", 0.5}}));
  const auto told = watch.add(held_out(10, "mirror", {{"nll_loss", 0.75}}));
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_TRUE(told[0].per_token);
  EXPECT_THAT(to_string(told[0]), HasSubstr("mean log-probability a token fell from −0.50"));
  DesiredWatch pairs;
  pairs.add(chosen(0, -40));
  EXPECT_THAT(pairs.add(held_out(1, "polite", {{"nll_loss", 99.0}})), IsEmpty()) << "another quantity";
}

TEST(DesiredFall, TrainingLinesAndOddLinesAreNoHarm) {
  DesiredWatch watch;
  watch.add(chosen(0, -40));
  Json train = chosen(10, -90);
  train["kind"] = "train";
  for (const Json& line : {train, Json(), Json(3), Json::array(), Json{{"kind", "heldout"}},
                           Json{{"kind", "heldout"}, {"step", "x"}, {"norms", {{"polite", 1}}}},
                           Json{{"kind", "heldout"}, {"step", 1}, {"norms", 3}},
                           held_out(5, "polite", {{"logps/chosen", "low"}}), held_out(5, "polite", 4)})
    EXPECT_THAT(watch.add(line), IsEmpty()) << line;
  EXPECT_THAT(watch.falls(), IsEmpty());
}

}  // namespace
}  // namespace plumbline
