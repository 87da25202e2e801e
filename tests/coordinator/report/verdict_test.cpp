#include "coordinator/report/verdict.hpp"

#include <gmock/gmock.h>

namespace plumbline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Json norm(double before, double after, double low, double high) {
  return {{"judge", "rules"},
          {"base", {{"examples", 200}, {"undesirable_rate", before}, {"desired_score", 0.1}}},
          {"rules", {{"examples", 200}, {"undesirable_rate", 0.0}, {"desired_score", 0.41}}},
          {"aligned", {{"examples", 200}, {"undesirable_rate", after}, {"desired_score", 0.84}}},
          {"difference", {{"undesirable_rate", after - before}, {"ci", {low, high}}}}};
}

TEST(Verdict, ClaimsAChangeOnlyWhenTheIntervalExcludesZero) {
  const std::string lower = norm_verdict("alignment", norm(0.825, 0.12, -0.76, -0.65));
  EXPECT_THAT(lower,
              HasSubstr("On 200 held-out examples of “alignment”, training lowered the share of undesirable outputs "
                        "from 82.5% to 12% (95% interval of the difference −76.0 to −65.0 points)"));
  EXPECT_THAT(lower, HasSubstr("behind the rule filter has 0% and a score of 0.41."));
  EXPECT_THAT(norm_verdict("a", norm(0.1, 0.4, 0.2, 0.4)), HasSubstr("training raised the share"));
  const std::string unclear = norm_verdict("a", norm(0.5, 0.48, -0.09, 0.05));
  EXPECT_THAT(unclear,
              HasSubstr("(−9.0 to +5.0 points) includes zero, so this run does not show that training changed it"));
  EXPECT_THAT(unclear, Not(HasSubstr("lowered")));
  EXPECT_THAT(norm_verdict("a", norm(0.5, 0.4, -0.2, 0.0)), HasSubstr("includes zero"))
      << "an interval that ends at zero";
}

TEST(Verdict, SpeaksOfTheScoreWhenThereIsOne) {
  Json json = norm(0.8, 0.1, -0.8, -0.6);
  json["difference"]["desired_score_ci"] = {0.7, 0.8};
  EXPECT_THAT(norm_verdict("a", json), HasSubstr("the desired score rose from 0.10 to 0.84"));
  json["difference"]["desired_score_ci"] = {-0.02, 0.03};
  EXPECT_THAT(norm_verdict("a", json), HasSubstr("includes zero"));
  json["difference"]["desired_score_ci"] = {-0.2, -0.1};
  EXPECT_THAT(norm_verdict("a", json), HasSubstr("the desired score fell"));
  json["rules"] = {{"examples", 0}};
  EXPECT_THAT(norm_verdict("a", json), Not(HasSubstr("rule filter")));
}

TEST(Verdict, OfOneNormIsThatNorms) {
  const Json one = norm(0.8, 0.1, -0.8, -0.6);
  EXPECT_EQ(run_verdict({{"norms", {{"a", one}}}}), norm_verdict("a", one));
}

TEST(Verdict, OfSeveralNormsNamesEach) {
  const Json nothing = {{"judge", "rules"}, {"aligned", {{"examples", 0}}}};
  const Json summary = {{"norms",
                         {{"a", norm(0.8, 0.1, -0.8, -0.6)},
                          {"b", norm(0.1, 0.8, 0.6, 0.8)},
                          {"c", norm(0.5, 0.5, -0.1, 0.1)},
                          {"d", nothing}}}};
  EXPECT_EQ(
      run_verdict(summary),
      "Of 4 norms, judged on held-out examples, training lowered the share of undesirable outputs on “a”, raised it on "
      "“b”, shows no clear change on “c” (the 95% interval of the difference includes zero) and was not judged on "
      "“d”.");
  EXPECT_THAT(run_verdict({{"norms", {{"b", norm(0.1, 0.8, 0.6, 0.8)}, {"c", norm(0.5, 0.5, -0.1, 0.1)}}}}),
              HasSubstr("training raised the share of undesirable outputs on “b”"));
  EXPECT_THAT(run_verdict({{"norms", Json::object()}}), HasSubstr("nothing was judged"));
  EXPECT_THAT(norm_verdict("d", nothing), HasSubstr("nothing can be said"));
}

}  // namespace
}  // namespace plumbline
