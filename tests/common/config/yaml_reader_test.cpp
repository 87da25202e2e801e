#include "common/config/yaml_reader.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace plumbline {
namespace {

using testing::HasSubstr;

YamlNode parse(const std::string& text) { return parse_yaml(text, "file.yaml").value(); }

std::string error_of(const std::string& text) {
  const auto result = parse_yaml(text, "file.yaml");
  if (result) return "no error";
  EXPECT_EQ(result.error().code, ErrorCode::kUsage);
  return to_string(result.error());
}

TEST(YamlTree, KeepsOrderLinesAndPaths) {
  const YamlNode root = parse("b: 1\na:\n  - x\n  - {k: v}\n\nc: \"two\\nlines\"\n");
  ASSERT_TRUE(root.is_map());
  ASSERT_EQ(root.members().size(), 3u);
  EXPECT_EQ(root.members()[0].first, "b");
  EXPECT_EQ(root.find("b")->where(), "file.yaml:1");
  const YamlNode& item = root.find("a")->items().at(1);
  EXPECT_EQ(item.path(), "a[1]");
  EXPECT_EQ(item.find("k")->path(), "a[1].k");
  EXPECT_EQ(item.find("k")->line(), 4);
  EXPECT_EQ(root.find("c")->text(), "two\nlines");
  EXPECT_EQ(root.find("c")->line(), 6);
  EXPECT_EQ(root.find("z"), nullptr);
}

TEST(YamlTree, AValueBelowItsKeyIsSpokenOfByTheKeysLine) {
  EXPECT_EQ(parse("a:\n  b: 1\n").find("a")->where(), "file.yaml:1");
}

TEST(YamlTree, EmptyTextIsNull) {
  EXPECT_TRUE(parse("").is_null());
  EXPECT_TRUE(parse("# only a comment\n").is_null());
  EXPECT_TRUE(parse("a:\n").find("a")->is_null());
  EXPECT_TRUE(parse("a: ~\n").find("a")->is_null());
  EXPECT_TRUE(parse("a: \"\"\n").find("a")->is_scalar());
}

TEST(YamlTree, RefusesWhatIsNotPlainData) {
  EXPECT_THAT(error_of("a: 1\nb: [x, y\n"), HasSubstr("file.yaml:"));
  EXPECT_THAT(error_of("a: 1\nb: 2\na: 3\n"),
              AllOf(HasSubstr("file.yaml:3"), HasSubstr("\"a\" is given twice"), HasSubstr("Line 1")));
  EXPECT_THAT(error_of("a: &x 1\n"), AllOf(HasSubstr("file.yaml:1"), HasSubstr("anchors")));
  EXPECT_THAT(error_of("a: 1\nb: *x\n"), HasSubstr("file.yaml:2"));
  EXPECT_THAT(error_of("a: !!str 1\n"), HasSubstr("tags"));
  EXPECT_THAT(error_of("a: !own {b: 1}\n"), HasSubstr("tags"));
  EXPECT_THAT(error_of("a: 1\n---\nb: 2\n"), HasSubstr("second YAML document"));
  EXPECT_THAT(error_of("? [a]\n: 1\n"), HasSubstr("a key must be text"));
  EXPECT_THAT(error_of("\"\": 1\n"), HasSubstr("a key is empty"));
  EXPECT_THAT(error_of("null: 1\n"), HasSubstr("in quotes"));
  EXPECT_THAT(error_of("a: 1\nb: caf\xE9\n"), AllOf(HasSubstr("file.yaml:2"), HasSubstr("UTF-8")));
  EXPECT_THAT(error_of(std::string("a: 1\0", 5)), HasSubstr("UTF-8"));
}

TEST(YamlTree, IsBounded) {
  std::string deep(kMaxYamlDepth, '[');
  EXPECT_TRUE(parse_yaml(fmt::format("{}{}", deep, std::string(kMaxYamlDepth, ']')), "f").has_value());
  EXPECT_THAT(error_of(fmt::format("[{}{}]", deep, std::string(kMaxYamlDepth, ']'))), HasSubstr("nested"));
  EXPECT_THAT(error_of(std::string(100'000, '[')), HasSubstr("file.yaml:1"));
  EXPECT_THAT(error_of(std::string(kMaxYamlBytes + 1, '#')), HasSubstr("KiB"));
  EXPECT_THAT(error_of(fmt::format("{}: 1", std::string(kMaxYamlPathBytes + 1, 'k'))), HasSubstr("512"));
  std::string many = "[";
  for (std::size_t i = 0; i < kMaxYamlNodes; ++i) many += "1,";
  EXPECT_THAT(error_of(many + "1]"), HasSubstr("values"));
}

TEST(YamlNode, ReadsTypes) {
  const YamlNode root =
      parse("i: -7\nu: 18446744073709551615\nd: 1.0e-3\nb: true\ns: plain text\nn: 12\nq: \"12\"\nlist: [1, +2, 3]\n");
  EXPECT_EQ(root.find("i")->as<int>().value(), -7);
  EXPECT_EQ(root.find("u")->as<std::uint64_t>().value(), 18446744073709551615ull);
  EXPECT_DOUBLE_EQ(root.find("d")->as<double>().value(), 1e-3);
  EXPECT_DOUBLE_EQ(root.find("i")->as<double>().value(), -7);
  EXPECT_TRUE(root.find("b")->as<bool>().value());
  EXPECT_EQ(root.find("s")->as<std::string>().value(), "plain text");
  EXPECT_EQ(root.find("n")->as<std::string>().value(), "12");
  EXPECT_EQ(root.find("list")->as_list<int>().value(), (std::vector<int>{1, 2, 3}));
}

TEST(YamlNode, RefusesOtherTypes) {
  const YamlNode root = parse(
      "i: five\nhalf: 1.5\nbig: 3000000000\nneg: -1\ninf: .inf\nnan: .nan\nhuge: 1e999\nyes: yes\nq: "
      "\"12\"\nnone:\nmap: {a: 1}\nlist: [1, x]\n");
  const auto message = [](const auto& result) { return result ? "no error" : to_string(result.error()); };
  EXPECT_THAT(message(root.find("i")->as<int>()),
              AllOf(HasSubstr("file.yaml:1"), HasSubstr("i must be a whole number, not \"five\"")));
  EXPECT_THAT(message(root.find("half")->as<std::int64_t>()), HasSubstr("whole number"));
  EXPECT_THAT(message(root.find("big")->as<int>()), HasSubstr("whole number"));
  EXPECT_THAT(message(root.find("neg")->as<std::uint64_t>()), HasSubstr("at least 0"));
  for (const char* key : {"inf", "nan", "huge", "yes"})
    EXPECT_THAT(message(root.find(key)->as<double>()), HasSubstr("a number"));
  EXPECT_THAT(message(root.find("yes")->as<bool>()), HasSubstr("true or false"));
  EXPECT_THAT(message(root.find("q")->as<int>()), HasSubstr("in quotes"));
  EXPECT_THAT(message(root.find("none")->as<int>()), HasSubstr("none has no value"));
  EXPECT_THAT(message(root.find("map")->as<std::string>()), HasSubstr("not a map"));
  EXPECT_THAT(message(root.find("list")->as_list<int>()), HasSubstr("list[1]"));
  EXPECT_THAT(message(root.find("i")->as_list<int>()), HasSubstr("a list"));
}

TEST(YamlNode, ChecksBounds) {
  const YamlNode root = parse("a: 5\n");
  EXPECT_TRUE(root.find("a")->as<int>({.min = 5, .max = 5}).has_value());
  const auto above = root.find("a")->as<double>({.above = 5, .below = 6});
  ASSERT_FALSE(above);
  EXPECT_THAT(above.error().message, HasSubstr("a number above 5 and below 6"));
}

TEST(YamlNode, CutsALongValueBetweenCharacters) {
  std::string word(39, 'x');
  word += "ééé";
  const auto result = parse(fmt::format("a: {}\n", word)).find("a")->as<int>();
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr(fmt::format("\"{}…\"", std::string(39, 'x'))));
}

TEST(YamlNode, WithReplacesOneNode) {
  const YamlNode root = parse("train: {steps: 1, lanes: 2}\n");
  const YamlNode value = parse_yaml("{a: [1]}", "--set train.steps", "train.steps").value();
  const YamlNode changed = root.with("train.steps", value).value();
  EXPECT_EQ(changed.find("train")->find("steps")->find("a")->items()[0].path(), "train.steps.a[0]");
  EXPECT_EQ(changed.find("train")->find("steps")->where(), "--set train.steps");
  EXPECT_EQ(changed.find("train")->find("lanes")->as<int>().value(), 2);
  EXPECT_EQ(root.find("train")->find("steps")->as<int>().value(), 1);
  EXPECT_EQ(root.with("new.map.key", value).value().find("new")->find("map")->find("key")->path(), "new.map.key");
  EXPECT_FALSE(root.with("train.steps.deeper", value));
  for (const char* key : {"", ".", "train.", ".train", "a..b"}) EXPECT_FALSE(root.with(key, value)) << key;
}

TEST(YamlMap, RefusesAnUnknownKeyAndNamesTheNearest) {
  const YamlNode root = parse("train:\n  steps: 1\n  laens: 2\n");
  YamlMap map = YamlMap::of(*root.find("train")).value();
  int steps = 0, lanes = 0;
  ASSERT_TRUE(map.require("steps", steps));
  ASSERT_TRUE(map.read("lanes", lanes));
  const Status status = map.finish();
  ASSERT_FALSE(status);
  EXPECT_EQ(to_string(status.error()), "file.yaml:3: unknown key train.laens\n  Did you mean train.lanes?");
}

TEST(YamlMap, ListsKnownKeysWhenNoneIsNear) {
  const YamlNode root = parse("zzzzzz: 1\n");
  YamlMap map = YamlMap::of(root).value();
  map.find("alpha");
  map.find("beta");
  const Status status = map.finish();
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().hint, HasSubstr("alpha or beta"));
}

TEST(YamlMap, SaysWhatIsMissingAndWhatMayBeChosen) {
  const YamlNode root = parse("a:\n  kind: blue\n");
  YamlMap map = YamlMap::of(*root.find("a")).value();
  std::string name, kind;
  const Status missing = map.require("name", name);
  ASSERT_FALSE(missing);
  EXPECT_EQ(to_string(missing.error()), "file.yaml:1: the key a.name is missing");
  const Status wrong = map.read_choice("kind", kind, {"red", "green"});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("a.kind must be red or green, not \"blue\""));
  EXPECT_FALSE(YamlMap::of(*root.find("a")->find("kind")));
}

TEST(NearestName, CountsASwapAsOneEditAndLeavesStrangersAlone) {
  EXPECT_EQ(nearest_name("stepz", {"steps", "lanes"}), "steps");
  EXPECT_EQ(nearest_name("sedd", {"data", "seed"}), "seed");
  EXPECT_EQ(nearest_name("quite-another", {"steps", "lanes"}), std::nullopt);
  EXPECT_EQ(nearest_name("x", {}), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(1000, 'x'), {"steps"}), std::nullopt);
}

TEST(LoadYaml, AMissingFileIsAUsageErrorThatNamesIt) {
  const auto result = load_yaml("nowhere/absent.yaml");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(result.error()), HasSubstr("nowhere/absent.yaml"));
  EXPECT_FALSE(load_yaml(std::filesystem::temp_directory_path()));
}

}  // namespace
}  // namespace plumbline
