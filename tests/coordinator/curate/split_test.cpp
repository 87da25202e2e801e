#include "coordinator/curate/split.hpp"

#include <gmock/gmock.h>

#include <array>
#include <random>

#include "coordinator/curate/near_duplicates.hpp"
#include "tests/coordinator/curate/curate_fixtures.hpp"

namespace plumbline {
namespace {

Recipe recipe_with(std::size_t norms, double held_out, std::uint64_t seed = 1) {
  Recipe recipe;
  recipe.seed = seed;
  recipe.held_out = held_out;
  recipe.norms.resize(norms);
  return recipe;
}

std::vector<std::array<int, kNumParts>> counts(const std::vector<PooledExample>& examples, const Splits& splits,
                                               std::size_t norms) {
  std::vector<std::array<int, kNumParts>> table(norms, {0, 0, 0, 0});
  for (std::size_t i = 0; i < examples.size(); ++i)
    ++table[examples[i].norm][static_cast<std::size_t>(splits.parts[i])];
  return table;
}

/// Sources of random words, every third an edited copy of an earlier one.
std::vector<PooledExample> examples_with_copies(std::uint32_t seed, int count, std::uint16_t norms) {
  static const char* const kWords[] = {"river", "stone", "cloud", "maple", "tiger",
                                       "lamp",  "north", "seven", "quiet", "amber"};
  std::mt19937 random(seed);
  std::vector<PooledExample> examples;
  for (int i = 0; i < count; ++i) {
    std::string source;
    if (i % 3 == 2) {
      source = examples[random() % examples.size()].example.source;
      source[random() % source.size()] = 'x';
    } else {
      for (int w = 0; w < 8; ++w)
        source += std::string(w > 0 ? " " : "") + kWords[random() % 10] + std::to_string(random() % 10);
    }
    examples.push_back(pooled(source, "output " + std::to_string(i), "", static_cast<std::uint16_t>(random() % norms)));
  }
  return examples;
}

TEST(Split, NoNearCopyStraddles) {
  for (std::uint32_t seed = 1; seed <= 8; ++seed) {
    const auto examples = examples_with_copies(seed, 300, 2);
    Recipe recipe = recipe_with(2, 0.2, seed);
    recipe.norms[1].norm.judge = JudgeKind::kClassifier;
    const Splits splits = split_examples(examples, recipe);
    for (std::size_t a = 0; a < examples.size(); ++a)
      for (std::size_t b = a + 1; b < examples.size(); ++b) {
        const bool held_out_apart = (splits.parts[a] == Part::kHeldOut) != (splits.parts[b] == Part::kHeldOut);
        const bool judged_apart = examples[a].norm == examples[b].norm && splits.parts[a] != splits.parts[b];
        if (!held_out_apart && !judged_apart) continue;
        ASSERT_LT(jaccard(shingles(examples[a].example.source, 5), shingles(examples[b].example.source, 5)), 0.8)
            << examples[a].example.source << "\n"
            << examples[b].example.source;
      }
  }
}

TEST(Split, EveryNormGetsItsShares) {
  const auto examples = examples_with_copies(3, 2000, 3);
  Recipe recipe = recipe_with(3, 0.1);
  recipe.norms[2].norm.judge = JudgeKind::kClassifier;
  recipe.norms[2].judge_train = 0.2, recipe.norms[2].judge_held_out = 0.05;
  const auto table = counts(examples, split_examples(examples, recipe), 3);
  for (const auto& row : table) {
    const double all = row[0] + row[1] + row[2] + row[3];
    EXPECT_NEAR(row[1] / all, 0.1, 0.01);
    EXPECT_NEAR(row[2] / all, &row == &table[2] ? 0.2 : 0.0, 0.01);
    EXPECT_NEAR(row[3] / all, &row == &table[2] ? 0.05 : 0.0, 0.01);
  }
}

TEST(Split, NormsMayShareTheirSources) {
  std::vector<PooledExample> examples;
  std::mt19937 random(2);
  for (int i = 0; i < 400; ++i) {
    const std::string source = std::to_string(random()) + " " + std::to_string(random());
    examples.push_back(pooled(source, "a" + source, "b", 0));
    examples.push_back(pooled(source, "c" + source, "d", 1));
  }
  Recipe recipe = recipe_with(2, 0.1);
  recipe.norms[1].norm.judge = JudgeKind::kClassifier;
  const Splits splits = split_examples(examples, recipe);
  const auto table = counts(examples, splits, 2);
  EXPECT_THAT(table[0], testing::ElementsAre(360, 40, 0, 0));
  EXPECT_THAT(table[1], testing::ElementsAre(260, 40, 80, 20));
  for (std::size_t i = 0; i < examples.size(); i += 2)
    EXPECT_EQ(splits.parts[i] == Part::kHeldOut, splits.parts[i + 1] == Part::kHeldOut);
}

TEST(Split, DoesNotDependOnTheOrderOfTheFiles) {
  auto examples = examples_with_copies(4, 400, 1);
  const Recipe recipe = recipe_with(1, 0.25);
  const auto held_out = [&] {
    std::vector<ExampleId> ids;
    const Splits splits = split_examples(examples, recipe);
    for (std::size_t i = 0; i < examples.size(); ++i)
      if (splits.parts[i] == Part::kHeldOut) ids.push_back(examples[i].example.id);
    std::sort(ids.begin(), ids.end());
    return ids;
  };
  const auto before = held_out();
  std::shuffle(examples.begin(), examples.end(), std::mt19937(9));
  EXPECT_EQ(held_out(), before);
}

TEST(Split, AnotherSeedHoldsOutOthers) {
  const auto examples = examples_with_copies(5, 200, 1);
  EXPECT_NE(split_examples(examples, recipe_with(1, 0.2, 1)).parts,
            split_examples(examples, recipe_with(1, 0.2, 2)).parts);
}

TEST(Split, GroupsStayTogether) {
  std::vector<PooledExample> examples;
  std::mt19937 random(1);
  for (int i = 0; i < 120; ++i) {
    examples.push_back(pooled("source " + std::to_string(random()) + " " + std::to_string(random()), "out"));
    examples.back().group = "family" + std::to_string(i % 12);
  }
  const Splits splits = split_examples(examples, recipe_with(1, 0.25));
  EXPECT_EQ(splits.clusters, 12);
  EXPECT_EQ(splits.largest_cluster, 10);
  for (std::size_t i = 12; i < examples.size(); ++i) EXPECT_EQ(splits.parts[i], splits.parts[i % 12]);
  EXPECT_EQ(counts(examples, splits, 1)[0][1], 30);
}

TEST(Split, TwoClustersGiveOneToEachSide) {
  std::vector<PooledExample> examples;
  for (int i = 0; i < 50; ++i) {
    examples.push_back(pooled("x" + std::to_string(i * 7919), "out"));
    examples.back().group = i % 2 == 0 ? "a" : "b";
  }
  const auto table = counts(examples, split_examples(examples, recipe_with(1, 0.1)), 1);
  EXPECT_EQ(table[0][0], 25);
  EXPECT_EQ(table[0][1], 25) << "a share that no cluster fits is exceeded rather than empty";
}

TEST(Split, OneClusterTrains) {
  std::vector<PooledExample> examples{pooled("one source only", "a"), pooled("one source only", "b")};
  const Splits splits = split_examples(examples, recipe_with(1, 0.5));
  EXPECT_THAT(splits.parts, testing::Each(Part::kTrain));
}

TEST(Split, GroupsOfDifferentSourcesAreApart) {
  std::vector<PooledExample> examples{pooled("aaaa bbbb cccc", "a"), pooled("dddd eeee ffff", "b")};
  examples[0].group = examples[1].group = "1";
  examples[1].place.source = 1;
  EXPECT_EQ(split_examples(examples, recipe_with(1, 0.5)).clusters, 2);
}

}  // namespace
}  // namespace plumbline
