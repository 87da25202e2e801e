#include "coordinator/curate/near_duplicates.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>

namespace plumbline {
namespace {

std::string random_text(std::mt19937& random, int length, int letters) {
  std::string text;
  for (int i = 0; i < length; ++i)
    text += static_cast<char>('a' + static_cast<int>(random() % static_cast<unsigned>(letters)));
  return text;
}

/// Families of texts, each an edited copy of an earlier one of its family.
std::vector<std::string> families(std::uint32_t seed, int count, int members, int length) {
  std::mt19937 random(seed);
  std::vector<std::string> texts;
  for (int family = 0; family < count; ++family) {
    const std::size_t first = texts.size();
    texts.push_back(random_text(random, length, 20));
    for (int i = 1; i < members; ++i) {
      std::string copy = texts[first + random() % (texts.size() - first)];
      for (unsigned edits = random() % 6; edits > 0; --edits)
        copy[random() % copy.size()] = static_cast<char>('a' + random() % 20);
      texts.push_back(copy);
    }
  }
  return texts;
}

TEST(NearDuplicates, ShinglesIgnoreCaseAndTheAmountOfWhiteSpace) {
  EXPECT_EQ(shingles("The  quick\n fox ", 3), shingles("the quick fox", 3));
  EXPECT_NE(shingles("thequick fox", 3), shingles("the quick fox", 3));
  EXPECT_EQ(shingles("ab", 5).size(), 1u);
  EXPECT_EQ(shingles("", 5).size(), 1u);
  EXPECT_EQ(shingles("äöüß", 3).size(), 2u) << "code points, not bytes";
}

TEST(NearDuplicates, JaccardIsExact) {
  EXPECT_DOUBLE_EQ(jaccard({1, 2, 3}, {2, 3, 4}), 0.5);
  EXPECT_DOUBLE_EQ(jaccard({1}, {2}), 0);
  EXPECT_DOUBLE_EQ(jaccard({}, {}), 1);
}

TEST(NearDuplicates, BandsFindPairsAtTheThreshold) {
  for (double threshold = 0.3; threshold <= 0.99; threshold += 0.01) {
    const int rows = rows_per_band(threshold);
    EXPECT_LE(std::pow(1 - std::pow(threshold, rows), 128 / rows), 1e-6) << threshold;
  }
}

/// The property: joined is exactly the transitive closure of "near copy", by brute force over all pairs.
TEST(NearDuplicates, JoinsExactlyWhatBruteForceJoins) {
  for (const double threshold : {0.4, 0.6, 0.8, 1.0})
    for (std::uint32_t seed = 1; seed <= 5; ++seed) {
      const auto texts = families(seed, 12, 10, 40);
      const std::vector<std::string_view> views(texts.begin(), texts.end());
      DisjointSets found(texts.size()), truth(texts.size());
      join_near_duplicates(views, {.threshold = threshold, .shingle = 4}, found);
      for (std::size_t a = 0; a < texts.size(); ++a)
        for (std::size_t b = a + 1; b < texts.size(); ++b)
          if (jaccard(shingles(texts[a], 4), shingles(texts[b], 4)) >= threshold) truth.join(a, b);
      for (std::size_t a = 0; a < texts.size(); ++a)
        for (std::size_t b = a + 1; b < texts.size(); ++b)
          ASSERT_EQ(found.find(a) == found.find(b), truth.find(a) == truth.find(b))
              << "threshold " << threshold << " seed " << seed << "\n"
              << texts[a] << "\n"
              << texts[b];
    }
}

TEST(NearDuplicates, EqualTextsNeedNoComparison) {
  // All pairs would be five thousand million.
  const std::vector<std::string_view> texts(100'000, "the same source again and again");
  DisjointSets sets(texts.size());
  join_near_duplicates(texts, {}, sets);
  for (std::size_t i = 0; i < texts.size(); ++i) ASSERT_EQ(sets.find(i), sets.find(0));
}

TEST(NearDuplicates, ManyTextsOfOneTemplateEndInTime) {
  std::mt19937 random(7);
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i)
    texts.push_back("Please translate the following sentence into plain words: " + random_text(random, 50, 26));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  DisjointSets sets(texts.size());
  join_near_duplicates(views, {}, sets);
  EXPECT_NE(sets.find(0), sets.find(1)) << "a shared template alone is no near copy";
}

}  // namespace
}  // namespace plumbline
