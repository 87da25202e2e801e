#include "coordinator/curate/jsonl_importer.hpp"

#include <gmock/gmock.h>

#include "coordinator/curate/dialogue_importer.hpp"
#include "tests/coordinator/curate/curate_fixtures.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(JsonlImporter, ReadsTheThreeKindsOfExample) {
  RememberingSink sink;
  ASSERT_TRUE(import_text(JsonlImporter({}),
                          "{\"source\": \"a\", \"desired\": \"b\", \"undesired\": \"c\"}\n"
                          "\n"
                          "{\"source\": \"a\", \"desired\": \"b\", \"undesired\": null, \"id\": 7}\n"
                          "{\"source\": \"é\", \"undesired\": \"\"}\n",
                          sink)
                  .has_value());
  ASSERT_EQ(sink.examples.size(), 3u);
  EXPECT_EQ(sink.examples[0].desired, "b");
  EXPECT_EQ(sink.examples[0].undesired, "c");
  EXPECT_EQ(sink.examples[1].line, 3) << "lines are counted as an editor counts them";
  EXPECT_FALSE(sink.examples[1].undesired.has_value());
  EXPECT_EQ(sink.examples[2].source, "é");
  EXPECT_EQ(sink.examples[2].undesired, "") << "an empty side is not an absent one";
}

TEST(JsonlImporter, ReadsWeightGroupAndAttributes) {
  RememberingSink sink;
  ASSERT_TRUE(
      import_text(
          JsonlImporter({}),
          "{\"source\": \"a\", \"desired\": \"b\", \"weight\": 2.5, \"group\": \"g\", \"attributes\": {\"length\": 3, "
          "\"unknown\": null}}",
          sink)
          .has_value());
  EXPECT_FLOAT_EQ(sink.examples[0].weight, 2.5f);
  EXPECT_EQ(sink.examples[0].group, "g");
  EXPECT_THAT(sink.examples[0].attributes, ElementsAre(Pair("length", 3.0f)));
}

TEST(JsonlImporter, ReadsTheKeysThatTheRecipeNames) {
  JsonlFormat format;
  format.source = "prompt", format.desired = "good", format.undesired = "";
  RememberingSink sink;
  ASSERT_TRUE(
      import_text(JsonlImporter(format), "{\"prompt\": \"a\", \"good\": \"b\", \"undesired\": 3}", sink).has_value());
  EXPECT_EQ(sink.examples[0].source, "a");
  EXPECT_FALSE(sink.examples[0].undesired.has_value());
}

TEST(JsonlImporter, NamesFileAndLineOfEveryMistake) {
  const JsonlImporter importer{JsonlFormat{}};
  const auto second = [](const std::string& line) { return "{\"source\": \"a\", \"desired\": \"b\"}\n" + line + "\n"; };
  const std::pair<const char*, const char*> cases[] = {
      {"{\"source\": \"a\", \"desired\": \"b\"", "broken JSON"},
      {"{\"source\": \"a\", \"desired\": \"b\", \"source\": \"c\"}", "the key \"source\" stands twice"},
      {"{\"source\": \"a\", \"desired\": \"b\", \"attributes\": {\"x\": 1, \"x\": 1}}", "the key \"x\" stands twice"},
      {"[1, 2]", "must hold a JSON object"},
      {"{\"desired\": \"b\"}", "\"source\" is missing"},
      {"{\"source\": \"a\"}", "no output"},
      {"{\"source\": 3, \"desired\": \"b\"}", "\"source\" must be a text"},
      {"{\"source\": \"a\", \"desired\": [\"b\"]}", "\"desired\" must be a text"},
      {"{\"source\": \"a\", \"desired\": \"b\", \"weight\": \"2\"}", "\"weight\" must be a number"},
      {"{\"source\": \"a\", \"desired\": \"b\", \"weight\": 0}", "above 0"},
      {"{\"source\": \"a\", \"desired\": \"b\", \"weight\": 1e300}", "at most 1000000"},
      {"{\"source\": \"a\", \"desired\": \"b\", \"attributes\": 3}", "object of numbers"},
      {"{\"source\": \"a\", \"desired\": \"b\", \"attributes\": {\"x\": \"y\"}}", "\"x\" must be a number"},
      {"{\"source\": \"a\", \"desired\": \"b\", \"attributes\": {\"a/b\": 1}}", "without a slash"},
      {"{\"source\": \"a\", \"desired\": \"b\", \"attributes\": {\"x\": 1e300}}", "\"x\" must be a number"},
  };
  for (const auto& [line, message] : cases) {
    const Error error = import_error(importer, second(line));
    EXPECT_EQ(error.code, ErrorCode::kData);
    EXPECT_EQ(error.where, "file:2") << line;
    EXPECT_THAT(error.message, HasSubstr(message)) << line;
  }
  EXPECT_THAT(import_error(importer, "{\"sorce\": \"a\", \"desired\": \"b\"}").hint, HasSubstr("desired, sorce"));
}

TEST(DialogueImporter, SplitsAtTheLastSharedTurn) {
  const std::string shared = "\n\nHuman: hi\n\nAssistant: Hello.\n\nHuman: a pen?\n\nAssistant:";
  const std::string first = shared + " Yes, take mine.", second = shared + " No.\n\nHuman: why?\n\nAssistant: So.";
  const auto parts = split_at_last_shared_turn(first, second);
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->source, "Human: hi\n\nAssistant: Hello.\n\nHuman: a pen?\n\nAssistant:");
  EXPECT_EQ(parts->first, "Yes, take mine.");
  EXPECT_EQ(parts->second, "No.\n\nHuman: why?\n\nAssistant: So.");
}

TEST(DialogueImporter, DoesNotCutInsideATurnThatOnlyBeginsAlike) {
  const auto parts =
      split_at_last_shared_turn("\n\nHuman: x\n\nAssistant: Take a pen", "\n\nHuman: x\n\nAssistant: Take a pencil");
  ASSERT_TRUE(parts.has_value());
  EXPECT_EQ(parts->source, "Human: x\n\nAssistant:");
  EXPECT_EQ(parts->first, "Take a pen");
  EXPECT_EQ(parts->second, "Take a pencil");
}

TEST(DialogueImporter, LeavesOutDialoguesWithoutASharedTurn) {
  RememberingSink sink;
  ASSERT_TRUE(
      import_text(
          DialogueImporter({}),
          "{\"chosen\": \"\\n\\nHuman: a\\n\\nAssistant: b\", \"rejected\": \"\\n\\nHuman: c\\n\\nAssistant: d\"}\n"
          "{\"chosen\": \"\\n\\nHuman: a\\n\\nAssistant: b\", \"rejected\": \"\\n\\nHuman: a\\n\\nAssistant: d\"}\n",
          sink)
          .has_value());
  EXPECT_THAT(sink.left_out, ElementsAre(Pair(Reason::kNoSharedTurn, 1)));
  ASSERT_EQ(sink.examples.size(), 1u);
  EXPECT_EQ(sink.examples[0].desired, "b");
  EXPECT_EQ(sink.examples[0].undesired, "d");
}

TEST(DialogueImporter, NeedsBothDialogues) {
  const Error error = import_error(DialogueImporter({}), "{\"chosen\": \"x\"}");
  EXPECT_EQ(error.where, "file:1");
  EXPECT_THAT(error.message, HasSubstr("\"rejected\" is missing"));
}

}  // namespace
}  // namespace plumbline
