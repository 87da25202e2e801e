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
  EXPECT_EQ(lower,
            "This run taught the norm “alignment” by examples. On 200 held-out examples training lowered the share of "
            "undesirable outputs from 82.5% to 12% (95% interval of the change −76.0 to −65.0 points). The rule alone, "
            "without training, leaves 0% undesirable, at a score of 0.41.");
  EXPECT_THAT(norm_verdict("a", norm(0.1, 0.4, 0.2, 0.4)), HasSubstr("training raised the share"));
  const std::string unclear = norm_verdict("a", norm(0.5, 0.48, -0.09, 0.05));
  EXPECT_THAT(unclear, HasSubstr("went from 50% to 48%; the 95% interval of the change (−9.0 to +5.0 points) includes "
                                 "zero, so this run does not show that training changed it"));
  EXPECT_THAT(unclear, Not(HasSubstr("lowered")));
  Json same = norm(1, 1, 0, 0);
  same["base"]["desired_score"] = same["aligned"]["desired_score"];
  same["difference"]["desired_score_ci"] = {0.0, 0.0};
  EXPECT_THAT(norm_verdict("a", same), HasSubstr("the share of undesirable outputs stayed at 100%; the 95% interval"));
  EXPECT_THAT(norm_verdict("a", same), HasSubstr(" The desired score stayed at 0.84 (95% interval"));
  EXPECT_THAT(norm_verdict("a", norm(0.5, 0.4, -0.2, 0.0)), HasSubstr("includes zero"))
      << "an interval that ends at zero";
}

TEST(Verdict, SpeaksOfTheScoreWhenThereIsOne) {
  Json json = norm(0.8, 0.1, -0.8, -0.6);
  json["difference"]["desired_score_ci"] = {0.7, 0.8};
  EXPECT_THAT(norm_verdict("a", json),
              HasSubstr(" It cost no score: the desired score rose from 0.10 to 0.84 (95% interval of the "
                        "change +0.700 to +0.800)."));
  json["difference"]["desired_score_ci"] = {-0.02, 0.03};
  EXPECT_THAT(norm_verdict("a", json), HasSubstr(" No clear cost in score: the desired score went from"));
  EXPECT_THAT(norm_verdict("a", json), HasSubstr("includes zero"));
  json["difference"]["desired_score_ci"] = {-0.2, -0.1};
  EXPECT_THAT(norm_verdict("a", json), HasSubstr(" It cost score: the desired score fell"));
  json["rules"] = {{"examples", 0}};
  EXPECT_THAT(norm_verdict("a", json), Not(HasSubstr("The rule alone")));
}

TEST(Verdict, SaysWhatWasTaught) {
  Json json = norm(0.8, 0.1, -0.8, -0.6);
  json["description"] = "The output is polite. ";
  EXPECT_THAT(norm_verdict("a", json),
              HasSubstr("This run taught the norm “a” by examples: The output is polite. On 200 held-out"));
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
      "“b”, shows no clear change on “c” (the 95% interval of the change includes zero) and was not judged on "
      "“d”.");
  EXPECT_THAT(run_verdict({{"norms", {{"b", norm(0.1, 0.8, 0.6, 0.8)}, {"c", norm(0.5, 0.5, -0.1, 0.1)}}}}),
              HasSubstr("training raised the share of undesirable outputs on “b”"));
  EXPECT_THAT(run_verdict({{"norms", Json::object()}}), HasSubstr("nothing was judged"));
  EXPECT_THAT(norm_verdict("d", nothing), HasSubstr("nothing can be said"));
}

}  // namespace
}  // namespace plumbline
