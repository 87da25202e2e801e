#include <gtest/gtest.h>

#include <filesystem>

#include "common/text/norm.hpp"

namespace plumbline {
namespace {

TEST(Chrf, ByHand) {
  // "ab" for "abc": n = 1: P 2/2, R 2/3; n = 2: P 1/1, R 1/2. P = 1, R = 7/12; 5 P R / (4 P + R) = (35/12) / (55/12).
  EXPECT_DOUBLE_EQ(chrf("ab", "abc"), 35.0 / 55);
  // The other way round: P = 7/12, R = 1: (35/12) / (28/12 + 1).
  EXPECT_DOUBLE_EQ(chrf("abc", "ab"), 35.0 / 40);
  // Counts are clipped: "aaaa" for "aa": n = 1: P 2/4, R 1; n = 2: P 1/3, R 1.
  const double p = (1.0 / 2 + 1.0 / 3) / 2;
  EXPECT_DOUBLE_EQ(chrf("aaaa", "aa"), 5 * p / (4 * p + 1));
  EXPECT_DOUBLE_EQ(chrf("x y", "xy"), 1);
  EXPECT_DOUBLE_EQ(chrf("abc", "xyz"), 0);
}

TEST(Chrf, AgreesWithSacrebleu) {
  const auto goldens =
      read_json_file(std::filesystem::path(PLUMBLINE_SOURCE_DIR) / "tests/common/text/chrf_goldens.json").value();
  ASSERT_GE(goldens.at("pairs").size(), 10u);
  for (const Json& pair : goldens.at("pairs"))
    EXPECT_NEAR(chrf(pair.at("hypothesis").get<std::string>(), pair.at("reference").get<std::string>()),
                pair.at("chrf").get<double>(), 1e-12)
        << pair << " by " << goldens.at("made_by");
}

TEST(Chrf, TakesAnyBytes) { EXPECT_DOUBLE_EQ(chrf("\xFF\xFE", "\xFF\xFE"), 1); }

}  // namespace
}  // namespace plumbline
