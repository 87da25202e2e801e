#include "common/text/alignment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace plumbline {
namespace {

const std::unique_ptr<SourceEncoding> kConcat = make_source_encoding("concat").value();
const std::unique_ptr<TargetEncoding> kSpaces = make_target_encoding("spaces").value();

// The example of Dotan et al. (2023): AAG, ACGG, ACG.
const Rows kSequences{"AAG", "ACGG", "ACG"};
const Rows kAligned{"AA-G", "ACGG", "AC-G"};

TEST(Encodings, AreThoseOfThePaper) {
  EXPECT_EQ(kConcat->encode(kSequences), "AAG|ACGG|ACG");
  EXPECT_EQ(kConcat->decode("AAG|ACGG|ACG"), kSequences);
  EXPECT_EQ(kSpaces->encode(kAligned), "AAAACC-G-GGG");
  EXPECT_EQ(kSpaces->decode("AAAACC-G-GGG", 3), kAligned);
}

TEST(Encodings, ConcatKeepsEmptyRows) {
  EXPECT_EQ(kConcat->decode(""), Rows{""});
  EXPECT_EQ(kConcat->decode("A||"), (Rows{"A", "", ""}));
  EXPECT_EQ(kConcat->encode({"A", "", ""}), "A||");
}

TEST(Encodings, SpacesRefusesUnequalRows) {
  EXPECT_EQ(kSpaces->decode("AAAACC-G-GG", 3), std::nullopt);
  EXPECT_EQ(kSpaces->decode("AA", 0), std::nullopt);
  EXPECT_EQ(kSpaces->decode("", 2), (Rows{"", ""}));
}

TEST(Encodings, UnknownNamesListTheKnown) {
  EXPECT_THAT(to_string(make_source_encoding("crisscross").error()), testing::HasSubstr("Known: concat"));
  EXPECT_THAT(to_string(make_target_encoding("pairs").error()), testing::HasSubstr("Known: spaces"));
}

TEST(Rows, LoseAndGainGaps) {
  EXPECT_EQ(ungapped(kAligned), kSequences);
  EXPECT_EQ(left_justified(kSequences), (Rows{"AAG-", "ACGG", "ACG-"}));
  EXPECT_EQ(left_justified({}), Rows{});
}

TEST(ColumnScore, CountsTrueColumnsFound) {
  EXPECT_DOUBLE_EQ(column_score(kAligned, kAligned), 1);
  // Columns of the truth: (0,0,0) (1,1,1) (-,2,-) (2,3,2). Left-justified has (0,0,0) (1,1,1) (2,2,2) (-,3,-).
  EXPECT_DOUBLE_EQ(column_score(left_justified(kSequences), kAligned), 0.5);
  EXPECT_DOUBLE_EQ(column_score({"A-", "-A"}, {"A", "A"}), 0);
  EXPECT_DOUBLE_EQ(column_score({"A", "A"}, {"A-", "-A"}), 0);
}

TEST(ColumnScore, ColumnsOfGapsOnlyDoNotCount) {
  EXPECT_DOUBLE_EQ(column_score({"A-C", "A-C"}, {"AC", "AC"}), 1);
  EXPECT_DOUBLE_EQ(column_score({"AC", "AC"}, {"-A-C", "-A-C"}), 1);
  EXPECT_DOUBLE_EQ(column_score({"--", "--"}, {"", ""}), 1);
}

TEST(ColumnScore, AnotherAlignmentOfOtherResiduesScoresNothing) {
  EXPECT_DOUBLE_EQ(column_score({"AC", "AC"}, {"AC", "AG"}), 0);
  EXPECT_DOUBLE_EQ(column_score({"AC"}, {"AC", "AC"}), 0);
  EXPECT_DOUBLE_EQ(column_score({"AC", "A"}, {"AC", "A-"}), 0) << "rows of unequal length";
}

TEST(StaggeredGaps, AreADeletionRightBesideAnInsertion) {
  EXPECT_EQ(staggered_gaps({"AD-C", "A-KC"}), 1u);
  EXPECT_EQ(staggered_gaps({"A-KC", "AD-C"}), 1u);
  EXPECT_EQ(staggered_gaps({"ADEC--", "A--CGG"}), std::nullopt) << "a column without gaps lies between";
  EXPECT_EQ(staggered_gaps({"AD--C", "AKGGC"}), std::nullopt) << "one gap of two columns";
  EXPECT_EQ(staggered_gaps({"A-GC", "A-TC", "AKGC"}), std::nullopt) << "gaps of two rows that open and close together";
  EXPECT_EQ(staggered_gaps({"A-GC", "AK-C", "AKGC"}), 1u);
  EXPECT_EQ(staggered_gaps({"A-GC", "A--C", "AKGC"}), std::nullopt) << "one row's gap closes, none opens";
  EXPECT_EQ(staggered_gaps({}), std::nullopt);
  EXPECT_EQ(staggered_gaps({"", ""}), std::nullopt);
  EXPECT_EQ(staggered_gaps(left_justified({"ACGT", "AC", "A"})), std::nullopt);
}

}  // namespace
}  // namespace plumbline
