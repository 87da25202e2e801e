#include "common/data/example.hpp"

#include <gtest/gtest.h>

#include <set>

namespace plumbline {
namespace {

Example make(const std::string& norm, const std::string& source, const std::string& desired,
             const std::string& undesired, bool has_desired = true, bool has_undesired = true) {
  Example example;
  example.norm = norm;
  example.source = source;
  example.desired = desired;
  example.undesired = undesired;
  finish(example, has_desired, has_undesired);
  return example;
}

TEST(ExampleTest, KindSaysWhichSidesArePresent) {
  EXPECT_EQ(make("n", "s", "d", "u").kind, ExampleKind::kPreference);
  EXPECT_EQ(make("n", "s", "d", "", true, false).kind, ExampleKind::kDemonstration);
  EXPECT_EQ(make("n", "s", "", "u", false, true).kind, ExampleKind::kProhibition);
  EXPECT_EQ(make("n", "s", "d", "left over", true, false).undesired, "") << "an absent side is empty";
}

TEST(ExampleTest, IdIsOfTheContentAndNothingElse) {
  Example example = make("n", "s", "d", "u");
  const ExampleId id = example.id;
  example.weight = 3;
  example.attributes["divergence"] = 0.5f;
  finish(example, true, true);
  EXPECT_EQ(example.id, id);
  EXPECT_EQ(make("n", "s", "d", "u").id, id);
}

TEST(ExampleTest, DifferentContentHasDifferentIds) {
  const std::set<ExampleId> ids{
      make("n", "s", "d", "u").id,
      make("m", "s", "d", "u").id,
      make("n", "sd", "", "u").id,
      make("n", "s", "du", "").id,
      make("ns", "", "d", "u").id,
      make("n", "s", "u", "d").id,
      make("n", "s", "d", "", true, false).id,
      make("n", "s", "d", "").id,  // an empty undesired output is not an absent one
      make("n", "s", "", "d", false, true).id,
  };
  EXPECT_EQ(ids.size(), 9u);
}

TEST(ExampleTest, IdsAreStable) {
  // Computed with the xxhash package of Python from the rule in docs/formats.md; ids tie datasets to evaluations and
  // snapshots that are already on disk, so they must not change.
  EXPECT_EQ(to_string(make("polite", "you fool", "you friend", "you fool!").id), "e4c70f5bff237200d1c16ddcbd21873a");
  EXPECT_EQ(to_string(make("polite", "", "héllo", "", true, false).id), "49cc1e2e612fdd42ee85b5f49b3c7744");
}

TEST(ExampleTest, PrintsIdsAsFixedWidthHex) {
  EXPECT_EQ(to_string(ExampleId{0x1, 0xabcdef}), "00000000000000010000000000abcdef");
  EXPECT_EQ(to_string(ExampleId{}), std::string(32, '0'));
}

TEST(ExampleDeathTest, AnExampleHasAnOutput) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(make("n", "s", "", "", false, false), "desired or an undesired");
}

}  // namespace
}  // namespace plumbline
