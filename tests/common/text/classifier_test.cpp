#include "common/text/classifier.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <sstream>

#include "common/core/files.hpp"

namespace plumbline {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Rows = std::vector<NgramClassifier::Row>;

/// Insults and compliments about numbered things.
Rows toy_rows(int begin, int end) {
  Rows rows;
  for (int i = begin; i < end; ++i) {
    const std::string thing = " thing " + std::to_string(i * 7919 % 1000);
    rows.push_back({(i % 2 == 0 ? "what a stupid" : "such a STUPID") + thing, true});
    rows.push_back({(i % 2 == 0 ? "what a lovely" : "such a fine") + thing, false});
  }
  return rows;
}

class ClassifierFile : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(dir_);
    ASSERT_TRUE(NgramClassifier::train(toy_rows(0, 20), 1).save(file_));
    bytes_ = read_file(file_).value();
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string refusal(const std::string& bytes) {
    EXPECT_TRUE(write_file_atomically(file_, bytes));
    const auto result = NgramClassifier::load(file_);
    if (result) return "no error";
    EXPECT_EQ(result.error().code, ErrorCode::kData);
    return to_string(result.error());
  }
  /// `bytes` with a checksum that holds.
  static std::string resealed(std::string bytes) {
    const std::uint64_t checksum = XXH3_64bits(bytes.data(), bytes.size() - 8);
    std::memcpy(bytes.data() + bytes.size() - 8, &checksum, 8);
    return bytes;
  }
  const std::filesystem::path dir_ = std::filesystem::path(testing::TempDir()) / "plumbline-classifier-file";
  const std::filesystem::path file_ = dir_ / "polite.classifier";
  std::string bytes_;
};

TEST(Classifier, LearnsWhatTellsRowsApart) {
  const auto model = NgramClassifier::train(toy_rows(0, 60), 1);
  EXPECT_EQ(model.accuracy(toy_rows(60, 120)), 1);
  EXPECT_GT(model.probability("stupid"), 0.5);
  EXPECT_LT(model.probability("lovely"), 0.5);
  EXPECT_EQ(model.accuracy({}), 0);
}

TEST(Classifier, ProbabilitiesAreOpenAndAnyTextHasOne) {
  const auto model = NgramClassifier::train(toy_rows(0, 60), 1);
  for (const std::string& text :
       {std::string(), std::string("\xFF\xC3"), std::string(100'000, 'x'), std::string("stupid 日本")}) {
    EXPECT_GT(model.probability(text), 0);
    EXPECT_LT(model.probability(text), 1);
  }
  EXPECT_EQ(NgramClassifier::train({}, 1).probability("x"), 0.5);
}

TEST(Classifier, IsAFunctionOfRowsAndSeed) {
  const auto probability = [](std::uint64_t seed) {
    return NgramClassifier::train(toy_rows(0, 30), seed).probability("what a thing");
  };
  EXPECT_EQ(probability(1), probability(1));
  EXPECT_NE(probability(1), probability(2));
}

TEST_F(ClassifierFile, LoadsWhatWasSaved) {
  const auto model = NgramClassifier::train(toy_rows(0, 20), 1);
  const auto loaded = NgramClassifier::load(file_).value();
  for (const char* text : {"", "a stupid thing", "something else"})
    EXPECT_EQ(loaded.probability(text), model.probability(text));
  EXPECT_EQ(bytes_.size(), 24u + (1u << 20) + 8);
  EXPECT_EQ(bytes_.substr(0, 8), "PLBLNGRM");
}

TEST_F(ClassifierFile, RefusesDamage) {
  for (const std::size_t at : {std::size_t{17}, std::size_t{30}, bytes_.size() / 2, bytes_.size() - 1}) {
    std::string flipped = bytes_;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_THAT(refusal(flipped), AllOf(HasSubstr("polite.classifier"), HasSubstr("checksum"))) << at;
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{24}, bytes_.size() - 1})
    EXPECT_NE(refusal(bytes_.substr(0, size)), "no error") << size;
  EXPECT_NE(refusal(bytes_ + "x"), "no error");
}

TEST_F(ClassifierFile, RefusesOtherFormats) {
  std::string other = bytes_;
  other[0] = 'X';
  EXPECT_THAT(refusal(other), HasSubstr("not a classifier"));
  other = bytes_;
  other[8] = 2;
  EXPECT_THAT(refusal(resealed(other)), HasSubstr("version 2"));
  other = bytes_;
  other[12] = 1;
  EXPECT_NE(refusal(resealed(other)), "no error");
  other = bytes_;
  const float infinite = std::numeric_limits<float>::infinity();
  std::memcpy(other.data() + 24, &infinite, sizeof infinite);
  EXPECT_THAT(refusal(resealed(other)), HasSubstr("finite"));
}

TEST_F(ClassifierFile, AMissingFileIsNamed) {
  const auto result = NgramClassifier::load(dir_ / "absent");
  ASSERT_FALSE(result);
  EXPECT_THAT(to_string(result.error()), HasSubstr("absent"));
}

/// ParaDetox, its first paraphrases: every fifth source and its paraphrase are kept apart.
TEST(Classifier, TellsParaDetoxApart) {
  const char* given = std::getenv("PLUMBLINE_SHARED_DATA");
  const auto folder = given != nullptr ? std::filesystem::path(given)
                                       : std::filesystem::path(PLUMBLINE_SOURCE_DIR).parent_path() / "shared" / "data";
  const auto file = folder / "paradetox" / "paradetox.tsv";
  if (!std::filesystem::exists(file))
    GTEST_SKIP() << file << " is not there; PLUMBLINE_SHARED_DATA names the folder of the data";
  std::istringstream lines(read_file(file).value());
  Rows train, test;
  std::string line;
  std::getline(lines, line);  // the header
  while (std::getline(lines, line)) {
    const std::size_t tab = line.find('\t');
    const std::string source = line.substr(0, tab), neutral = line.substr(tab + 1, line.find('\t', tab + 1) - tab - 1);
    Rows& rows = XXH3_64bits(source.data(), source.size()) % 5 == 0 ? test : train;
    rows.push_back({source, true});
    rows.push_back({neutral, false});
  }
  ASSERT_GT(test.size(), 2000u);
  const double accuracy = NgramClassifier::train(train, 1).accuracy(test);
  RecordProperty("accuracy", std::to_string(accuracy));
  EXPECT_GT(accuracy, 0.94);  // 0.953 when this was written
}

}  // namespace
}  // namespace plumbline
