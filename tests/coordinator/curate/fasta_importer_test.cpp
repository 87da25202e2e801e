#include "coordinator/curate/fasta_importer.hpp"

#include <gmock/gmock.h>

#include <set>

#include "coordinator/curate/simulated_importer.hpp"
#include "tests/coordinator/curate/curate_fixtures.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

RuleSet alignment_rules() {
  RuleSet rules;
  rules.alignment = true;
  return rules;
}

FastaImporter importer(int min_rows = 0, int max_rows = 0, int examples = 1, int max_residues = 1000,
                       std::uint64_t seed = 1) {
  FastaFormat format;
  format.min_rows = min_rows, format.max_rows = max_rows;
  format.examples_per_file = examples;
  format.max_residues = max_residues;
  return {format, alignment_rules(), seed};
}

TEST(FastaImporter, MakesTheWholeAlignmentOneExample) {
  RememberingSink sink;
  ASSERT_TRUE(import_text(importer(), ">x one\nAA-\nG-\n>y\nACGG-\n>z\nAC-G-\n", sink).has_value());
  ASSERT_EQ(sink.examples.size(), 1u);
  EXPECT_EQ(sink.examples[0].source, "AAG|ACGG|ACG");
  EXPECT_EQ(sink.examples[0].desired, "AAAACC-G-GGG") << "the column of gaps is gone";
  EXPECT_FALSE(sink.examples[0].undesired.has_value());
  EXPECT_EQ(sink.examples[0].group, "file");
}

TEST(FastaImporter, FoldsPfamsDotsAndSmallLetters) {
  RememberingSink sink;
  ASSERT_TRUE(import_text(importer(), ">x\nAc.g\n>y\nA-tG\n", sink).has_value());
  EXPECT_EQ(sink.examples[0].source, "ACG|ATG");
  EXPECT_EQ(sink.examples[0].desired, "AAC--TGG");
}

TEST(FastaImporter, NamesTheRowThatIsRagged) {
  const Error error = import_error(importer(), ">x\nAC-GT\n>y\nACG\n>z\nACGGT\n");
  EXPECT_EQ(error.code, ErrorCode::kData);
  EXPECT_EQ(error.where, "file:3");
  EXPECT_THAT(error.message, HasSubstr("row y is 3 long"));
}

TEST(FastaImporter, NamesWhatIsNoFasta) {
  EXPECT_EQ(import_error(importer(), "AC-GT\n").where, "file:1");
  EXPECT_THAT(import_error(importer(), ">x\nAC*T\n>y\nACGT\n").message, HasSubstr("\"*\""));
  EXPECT_THAT(import_error(importer(), ">x\nAC|T\n>y\nACGT\n").message, HasSubstr("row x"));
  EXPECT_THAT(import_error(importer(), ">x\n>y\nACGT\n").message, HasSubstr("no residue"));
}

std::string family(int rows) {
  const std::string residues = "ACDEFGHIKLMNPQRSTVWY";
  std::string text;
  for (int i = 0; i < rows; ++i) {
    const auto at = static_cast<std::size_t>(i % 20);
    text += ">r" + std::to_string(i) + "\n" + residues.substr(at) + residues.substr(0, at) + "\n";
  }
  return text;
}

TEST(FastaImporter, DrawsRowsOfALargeAlignment) {
  RememberingSink sink, again, other;
  ASSERT_TRUE(import_text(importer(2, 3, 50), family(20), sink).has_value());
  ASSERT_TRUE(import_text(importer(2, 3, 50), family(20), again).has_value());
  ASSERT_TRUE(import_text(importer(2, 3, 50, 1000, 2), family(20), other).has_value());
  ASSERT_EQ(sink.examples.size(), 50u);
  std::set<std::string> sources;
  int pairs = 0;
  for (std::size_t i = 0; i < 50; ++i) {
    sources.insert(sink.examples[i].source);
    pairs += std::count(sink.examples[i].source.begin(), sink.examples[i].source.end(), '|') == 1 ? 1 : 0;
    EXPECT_EQ(sink.examples[i].source, again.examples[i].source) << "the same seed draws the same rows";
    EXPECT_EQ(sink.examples[i].group, "file") << "examples of a family never part";
  }
  EXPECT_EQ(sources.size(), 50u) << "no choice is drawn twice";
  EXPECT_GT(pairs, 10);
  EXPECT_LT(pairs, 40);
  EXPECT_NE(sink.examples[0].source + sink.examples[1].source, other.examples[0].source + other.examples[1].source);
}

TEST(FastaImporter, StopsWhenASmallAlignmentHasNoOtherChoice) {
  RememberingSink sink;
  ASSERT_TRUE(import_text(importer(2, 2, 100), family(3), sink).has_value());
  EXPECT_EQ(sink.examples.size(), 3u);
}

TEST(FastaImporter, LeavesOutRowsThatAreTooLongOrEmpty) {
  RememberingSink sink;
  ASSERT_TRUE(import_text(importer(0, 0, 1, 3), ">a\nACGT\n>b\nAC--\n>c\n----\n>d\n-CG-\n", sink).has_value());
  EXPECT_THAT(sink.left_out, ElementsAre(Pair(Reason::kRowTooLong, 1), Pair(Reason::kRowOfGaps, 5)));
  ASSERT_EQ(sink.examples.size(), 1u);
  EXPECT_EQ(sink.examples[0].source, "AC|CG");
}

TEST(FastaImporter, LeavesOutAnAlignmentWithFewerRowsThanAskedFor) {
  RememberingSink sink;
  ASSERT_TRUE(import_text(importer(4, 6, 3), family(3), sink).has_value());
  EXPECT_THAT(sink.left_out, ElementsAre(Pair(Reason::kTooFewRows, 1)));
  EXPECT_TRUE(sink.examples.empty());
  ASSERT_TRUE(import_text(importer(2, 6, 3), family(3), sink).has_value());
  EXPECT_FALSE(sink.examples.empty()) << "as many as there are, when that is enough";
}

TEST(FastaImporter, NeedsTwoRows) {
  RememberingSink sink;
  ASSERT_TRUE(import_text(importer(), ">a\nACGT\n", sink).has_value());
  EXPECT_THAT(sink.left_out, ElementsAre(Pair(Reason::kSingleRow, 1)));
  EXPECT_TRUE(import_text(importer(), "", sink).has_value());
  EXPECT_TRUE(sink.examples.empty());
}

TEST(SimulatedImporter, ReadsAlignmentsAndTheirNumbers) {
  RememberingSink sink;
  const SimulatedImporter simulated(alignment_rules());
  ASSERT_TRUE(
      import_text(simulated,
                  "{\"rows\": [\"AC-G\", \"A--G\"], \"attributes\": {\"root_length\": 3, \"divergence\": 0.5}}\n", sink)
          .has_value());
  EXPECT_EQ(sink.examples[0].source, "ACG|AG");
  EXPECT_EQ(sink.examples[0].desired, "AAC-GG");
  EXPECT_THAT(sink.examples[0].attributes, ElementsAre(Pair("divergence", 0.5f), Pair("root_length", 3.0f)));
  EXPECT_EQ(import_error(simulated, "{\"rows\": [\"AC\", \"A\"], \"attributes\": {}}").where, "file:1");
  EXPECT_EQ(import_error(simulated, "{\"rows\": [], \"attributes\": {}}").code, ErrorCode::kData);
}

}  // namespace
}  // namespace plumbline
