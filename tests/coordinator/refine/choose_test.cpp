#include "coordinator/refine/choose.hpp"

#include <gmock/gmock.h>

namespace plumbline {
namespace {

using testing::Optional;

constexpr const char* kSource = "AC|AGC";
constexpr const char* kGiven = "AA-GCC";

Norm alignment_norm() {
  Norm norm;
  norm.name = "align";
  norm.rules.alignment = true;
  norm.score = ScoreKind::kColumn;
  norm.fallback = "left_justified";
  return norm;
}

class Choosing : public testing::Test {
 protected:
  Choosing() : judge(std::move(make_judge(norm, "")).value()) {}
  [[nodiscard]] Choice choose_of(std::vector<std::string> outputs, std::optional<std::string> given = kGiven,
                                 Desired desired = Desired::kBest, std::vector<bool> complete = {}) const {
    complete.resize(outputs.size(), true);
    return choose(norm, *judge, kSource, given, {7, std::move(outputs), std::move(complete), {}}, desired);
  }
  Norm norm = alignment_norm();
  std::unique_ptr<Judge> judge;
};

TEST_F(Choosing, TakesTheBestAcceptedAndTheFirstRejected) {
  const Choice choice = choose_of({"AA", "AACG-C", "AA-GCC", "AAGC"});
  EXPECT_THAT(choice.desired, Optional(std::string("AA-GCC"))) << "column score 1, against 1/3 of AACG-C";
  EXPECT_THAT(choice.undesired, Optional(std::string("AA")));
  EXPECT_TRUE(choice.desired_is_own);
  EXPECT_EQ(choice.accepted, 2);
  EXPECT_EQ(choice.rejected, 2);
}

TEST_F(Choosing, TakesTheEarliestOfEquals) {
  const Choice choice = choose_of({"-AAGCC", "A-CA-C", "-AAGCC"});
  EXPECT_EQ(choice.rejected, 1) << "A-CA-C is rows ACx and -A-";
  EXPECT_THAT(choice.desired, Optional(std::string("-AAGCC")));
}

TEST_F(Choosing, FallsBackToTheGivenOutput) {
  const Choice choice = choose_of({"AA", "CC"});
  EXPECT_THAT(choice.desired, Optional(std::string(kGiven)));
  EXPECT_FALSE(choice.desired_is_own);
  EXPECT_FALSE(choose_of({"AA", "CC"}, std::nullopt).desired) << "a prohibition";
}

TEST_F(Choosing, GivenComesFirstWhenAsked) {
  EXPECT_THAT(choose_of({"AACG-C"}, kGiven, Desired::kGiven).desired, Optional(std::string(kGiven)));
  EXPECT_THAT(choose_of({"AACG-C"}, std::nullopt, Desired::kGiven).desired, Optional(std::string("AACG-C")));
}

TEST_F(Choosing, PassesOverWhatIsEmptyOrCut) {
  const Choice choice = choose_of({"", "AA", "AA-GCC"}, std::nullopt, Desired::kBest, {true, false, false});
  EXPECT_FALSE(choice.desired);
  EXPECT_FALSE(choice.undesired);
  EXPECT_EQ(choice.accepted + choice.rejected, 0);
}

TEST_F(Choosing, PairsEachBrokenOutputWithItsRepairOnce) {
  const SampledRow sampled{7,
                           {"AA-GCC", "AA", "AA", "AAGC", "AAG", "", "AACG"},
                           {true, true, true, true, false, true, true},
                           {std::nullopt, "AA-GCC", "AA-GCC", "AACG-C", "AA-GCC", "AA-GCC", "AC"}};
  const auto pairs = repaired_outputs(*judge, kSource, sampled);
  ASSERT_EQ(pairs.size(), 2u) << "not: accepted, seen, cut, empty, and one whose repair the judge rejects";
  EXPECT_EQ(pairs[0].desired, "AA-GCC");
  EXPECT_EQ(pairs[0].undesired, "AA");
  EXPECT_EQ(pairs[1].desired, "AACG-C");
  EXPECT_EQ(pairs[1].undesired, "AAGC");
}

}  // namespace
}  // namespace plumbline
