#include "coordinator/curate/delimited_importer.hpp"

#include <gmock/gmock.h>

#include "tests/coordinator/curate/curate_fixtures.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

DelimitedFormat tsv(Quotes quotes = Quotes::kNone) {
  DelimitedFormat format;
  format.quotes = quotes;
  format.source = "toxic";
  format.desired = {"n1", "n2"};
  format.undesired = {"toxic"};
  return format;
}

DelimitedFormat csv() {
  DelimitedFormat format;
  format.delimiter = ',';
  format.quotes = Quotes::kRfc4180;
  format.source = "s";
  format.desired = {"d"};
  return format;
}

TEST(DelimitedImporter, MakesOneExampleOfEachDesiredCell) {
  RememberingSink sink;
  ASSERT_TRUE(
      import_text(DelimitedImporter(tsv()), "toxic\tn1\tn2\nbad\tgood\tfine\n\nworse\tbetter\t\n", sink).has_value());
  ASSERT_EQ(sink.examples.size(), 3u);
  EXPECT_EQ(sink.examples[0].desired, "good");
  EXPECT_EQ(sink.examples[1].desired, "fine");
  EXPECT_EQ(sink.examples[1].undesired, "bad");
  EXPECT_EQ(sink.examples[1].line, 2);
  EXPECT_EQ(sink.examples[2].line, 4);
}

TEST(DelimitedImporter, LeavesOutRowsThatDoNotFitTheHeader) {
  RememberingSink sink;
  ASSERT_TRUE(import_text(DelimitedImporter(tsv()), "toxic\tn1\tn2\na\tb\na\tb\tc\td\na\tb\tc\n", sink).has_value());
  EXPECT_THAT(sink.left_out, ElementsAre(Pair(Reason::kWrongColumns, 2), Pair(Reason::kWrongColumns, 3)));
  EXPECT_EQ(sink.examples.size(), 2u);
}

TEST(DelimitedImporter, KeepsQuotesAsLettersUnlessTold) {
  RememberingSink sink;
  ASSERT_TRUE(import_text(DelimitedImporter(tsv()), "toxic\tn1\tn2\na\t\"b\t\n", sink).has_value());
  EXPECT_EQ(sink.examples[0].desired, "\"b");
}

TEST(DelimitedImporter, EndsQuotedCellsOnTheirLineWhenTold) {
  RememberingSink sink;
  ASSERT_TRUE(import_text(DelimitedImporter(tsv(Quotes::kLine)),
                          "toxic\tn1\tn2\na\t\"say \"\"b\"\"\tnow\"\t\nc\t\"open\t\ne\t\"f\" g\t\nh\ti\t\n", sink)
                  .has_value());
  EXPECT_EQ(sink.examples[0].desired, "say \"b\"\tnow");
  EXPECT_THAT(sink.left_out, ElementsAre(Pair(Reason::kBrokenQuotes, 3), Pair(Reason::kBrokenQuotes, 4)));
  ASSERT_EQ(sink.examples.size(), 2u) << "the rows after a broken one are read";
  EXPECT_EQ(sink.examples[1].line, 5);
}

TEST(DelimitedImporter, ReadsRfc4180) {
  RememberingSink sink;
  ASSERT_TRUE(
      import_text(DelimitedImporter(csv()), "s,d\r\n\"a, b\",\"line 1\nline \"\"2\"\"\"\r\nx,y\r\n", sink).has_value());
  ASSERT_EQ(sink.examples.size(), 2u);
  EXPECT_EQ(sink.examples[0].source, "a, b");
  EXPECT_EQ(sink.examples[0].desired, "line 1\nline \"2\"");
  EXPECT_EQ(sink.examples[1].line, 4) << "line of the file, not number of the record";
}

TEST(DelimitedImporter, NamesTheLineOfAQuoteThatIsNeverClosed) {
  const Error error = import_error(DelimitedImporter(csv()), "s,d\na,b\nc,\"d\ne,f\n");
  EXPECT_EQ(error.code, ErrorCode::kData);
  EXPECT_EQ(error.where, "file:3");
  EXPECT_THAT(error.hint, HasSubstr("quotes: line"));
}

TEST(DelimitedImporter, NamesTheColumnsThatAreThere) {
  const Error error = import_error(DelimitedImporter(tsv()), "toxic\tneutral1\tn2\na\tb\tc\n");
  EXPECT_EQ(error.where, "file:1");
  EXPECT_THAT(error.message, HasSubstr("\"n1\""));
  EXPECT_THAT(error.hint, HasSubstr("toxic, neutral1, n2"));
}

TEST(DelimitedImporter, TakesTheHeaderFromTheRecipe) {
  DelimitedFormat format = tsv();
  format.header = {"toxic", "n1", "n2"};
  RememberingSink sink;
  ASSERT_TRUE(import_text(DelimitedImporter(format), "a\tb\t\n", sink).has_value());
  ASSERT_EQ(sink.examples.size(), 1u);
  EXPECT_EQ(sink.examples[0].line, 1);
}

TEST(DelimitedImporter, ReadsWeightsGroupsAndAttributes) {
  DelimitedFormat format = csv();
  format.weight = "w", format.group = "g", format.attributes = {"x"};
  RememberingSink sink;
  ASSERT_TRUE(import_text(DelimitedImporter(format), "s,d,w,g,x\na,b,2,one,0.5\na,c,,,\n", sink).has_value());
  EXPECT_FLOAT_EQ(sink.examples[0].weight, 2);
  EXPECT_EQ(sink.examples[0].group, "one");
  EXPECT_THAT(sink.examples[0].attributes, ElementsAre(Pair("x", 0.5f)));
  EXPECT_FLOAT_EQ(sink.examples[1].weight, 1);
  EXPECT_TRUE(sink.examples[1].attributes.empty());
  EXPECT_EQ(import_error(DelimitedImporter(format), "s,d,w,g,x\na,b,two,,\n").where, "file:2");
  EXPECT_THAT(import_error(DelimitedImporter(format), "s,d,w,g,x\na,b,,,nan\n").message, HasSubstr("not a number"));
}

TEST(DelimitedImporter, GivesNothingForAnEmptyFile) {
  RememberingSink sink;
  EXPECT_TRUE(import_text(DelimitedImporter(tsv()), "", sink).has_value());
  EXPECT_TRUE(sink.examples.empty());
}

}  // namespace
}  // namespace plumbline
