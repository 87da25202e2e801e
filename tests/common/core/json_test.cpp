#include "common/core/json.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "common/core/unique_keys.hpp"
#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

std::string nested(int levels, char open, char close) {
  return std::string(static_cast<std::size_t>(levels), open) + std::string(static_cast<std::size_t>(levels), close);
}

TEST(JsonTest, ParsesWhatIsWhole) {
  EXPECT_EQ(parse_json(R"({"a": [1, 2.5, "é"]})", "x").value()["a"][2], "é");
  EXPECT_EQ(parse_json(" 7 ", "x").value(), 7);
}

TEST(JsonTest, ABrokenTextIsADataErrorAtItsPlace) {
  const auto broken = parse_json(R"({"source": "a", "desi)", "polite.jsonl:7");
  ASSERT_TRUE(broken.has_error());
  EXPECT_EQ(broken.error().code, ErrorCode::kData);
  EXPECT_EQ(broken.error().where, "polite.jsonl:7");
  EXPECT_THAT(broken.error().message, HasSubstr("broken JSON"));
  EXPECT_THAT(broken.error().message, HasSubstr("column"));
  EXPECT_THAT(broken.error().message, Not(HasSubstr("line 1"))) << "the place already says the line";
  EXPECT_THAT(broken.error().message, Not(HasSubstr("exception")));
  for (const char* text : {"", "{", "[1,]", "nul", "{\"a\" 1}", "1 2", "NaN", "1e999", "\"\\ud800\"", "'a'"})
    EXPECT_TRUE(parse_json(text, "x").has_error()) << text;
}

TEST(JsonTest, AKeyThatStandsTwiceInOneObjectIsAnErrorWherePeopleWriteIt) {
  const auto twice = parse_json_of_unique_keys(R"({"source": "a", "x": {"b": 1}, "source": "c"})", "polite.jsonl:7");
  ASSERT_TRUE(twice.has_error());
  EXPECT_EQ(twice.error().code, ErrorCode::kData);
  EXPECT_EQ(twice.error().where, "polite.jsonl:7");
  EXPECT_THAT(twice.error().message, HasSubstr("the key \"source\" stands twice"));
  for (const char* text : {R"({"a": {"b": 1, "c": 2, "b": 1}})", R"([{"a": 1}, {"a": 1, "a": 1}])",
                           R"({"\u0061": 1, "a": 2})", R"({"": 1, "": 2})"})
    EXPECT_TRUE(parse_json_of_unique_keys(text, "x").has_error()) << text;
  const std::string deep = R"({"a": {"a": [{"a": 1}, {"a": {"b": null}}]}, "b": "a", "A": true})";
  EXPECT_EQ(parse_json_of_unique_keys(deep, "x").value(), parse_json(deep, "x").value()) << "one in each object";
  const std::string long_key(5000, 'k');
  const auto of_long = parse_json_of_unique_keys("{\"" + long_key + "\": 1, \"" + long_key + "\": 2}", "x");
  EXPECT_LT(of_long.error().message.size(), 400u);
  for (const char* broken : {"", "{", "{\"a\": 1, \"a\"", "nul"})
    EXPECT_THAT(parse_json_of_unique_keys(broken, "x").error().message, HasSubstr("broken JSON")) << broken;
  EXPECT_EQ(parse_json_of_unique_keys("7", "x").value(), 7);
}

TEST(JsonTest, BadUtf8IsCalledThat) {
  const auto bad = parse_json("{\"a\": \"fri\xff\xfe\"}", "polite.jsonl:3");
  EXPECT_THAT(to_string(bad.error()), HasSubstr("polite.jsonl:3: the text is not valid UTF-8"));
  EXPECT_TRUE(parse_json("\xff", "x").has_error());
  EXPECT_TRUE(parse_json("\"\xc0\xaf\"", "x").has_error()) << "overlong";
  EXPECT_TRUE(parse_json("\"\xed\xa0\x80\"", "x").has_error()) << "a surrogate";
}

TEST(JsonTest, NoMessageCarriesBytesOfTheText) {
  for (const char* text : {"{\xff", "[1, \xc3\xa9]", "tru\x01"}) {
    const auto bad = parse_json(text, "x");
    ASSERT_TRUE(bad.has_error());
    for (const char c : bad.error().message) EXPECT_TRUE(c >= ' ' && c <= '~') << text;
  }
}

TEST(JsonTest, NestingIsBounded) {
  EXPECT_TRUE(parse_json(nested(64, '[', ']'), "x").has_value());
  EXPECT_THAT(parse_json(nested(65, '[', ']'), "x").error().message, HasSubstr("64 levels"));
  EXPECT_TRUE(parse_json(std::string(10'000'000, '['), "x").has_error());
  EXPECT_TRUE(parse_json("\"" + std::string(100, '{') + "\\\"" + std::string(100, '[') + "\"", "x").has_value())
      << "brackets in a string nest nothing";
}

TEST(JsonTest, ReadsAMemberAsItsTypeOnly) {
  const Json json =
      Json::parse(R"({"n": 70000, "x": 1.5, "neg": -1, "t": "s", "b": true, "list": [1, 2], "none": null})");
  EXPECT_EQ(json_get<int>(json, "n", "f").value(), 70000);
  EXPECT_EQ(json_get<double>(json, "n", "f").value(), 70000.0);
  EXPECT_EQ(json_get<std::vector<int>>(json, "list", "f").value(), (std::vector<int>{1, 2}));
  EXPECT_EQ(json_get<Json>(json, "list", "f").value().size(), 2u);
  EXPECT_TRUE(json_get<std::uint16_t>(json, "n", "f").has_error()) << "does not wrap";
  EXPECT_TRUE(json_get<std::uint64_t>(json, "neg", "f").has_error());
  EXPECT_TRUE(json_get<int>(json, "x", "f").has_error()) << "is not cut";
  EXPECT_TRUE(json_get<int>(json, "b", "f").has_error());
  EXPECT_TRUE(json_get<bool>(json, "n", "f").has_error());
  EXPECT_TRUE(json_get<double>(json, "none", "f").has_error());
  EXPECT_TRUE(json_get<std::string>(json, "n", "f").has_error());
}

TEST(JsonTest, AMemberThatIsMissingIsNamed) {
  const auto missing = json_get<int>(Json::object(), "steps", "state.json");
  EXPECT_EQ(to_string(missing.error()), "state.json: the key \"steps\" is missing");
  EXPECT_TRUE(json_get<int>(Json::array({1}), "steps", "f").has_error());
  EXPECT_THAT(json_get<int>(Json{{"steps", "a"}}, "steps", "f").error().message, HasSubstr("\"steps\""));
}

TEST(JsonTest, ALineIsAlwaysJson) {
  EXPECT_EQ(to_line(Json{{"a", 1}, {"b", "é\n"}}), "{\"a\":1,\"b\":\"é\\n\"}");
  EXPECT_EQ(to_line(Json{{"a", "\xff"}}), "{\"a\":\"\xEF\xBF\xBD\"}");
  EXPECT_EQ(to_line(Json::array({std::nan(""), std::numeric_limits<double>::infinity()})), "[null,null]");
  const double third = 1.0 / 3;
  EXPECT_EQ(Json::parse(to_line(Json(third))).get<double>(), third) << "doubles survive";
}

class JsonFileTest : public ScratchTest {};

TEST_F(JsonFileTest, TheErrorNamesTheFile) {
  EXPECT_EQ(read_json_file(put("good.json", "{\"a\": 1}")).value()["a"], 1);
  EXPECT_EQ(read_json_file(put("bad.json", "{\n\"a\": }")).error().where, file("bad.json").string());
  EXPECT_THAT(read_json_file(file("bad.json")).error().message, HasSubstr("line 2"));
  EXPECT_EQ(read_json_file(file("absent.json")).error().where, file("absent.json").string());
}

}  // namespace
}  // namespace plumbline
