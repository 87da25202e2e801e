// Where a recipe sends its sources, datasets as sources, and classifiers taken from them.
#include <gmock/gmock.h>
#include <spdlog/spdlog.h>

#include <random>
#include <set>

#include "coordinator/curate/curate.hpp"
#include "tests/coordinator/curate/curate_fixtures.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

constexpr const char* kFirst = R"(name: first
held_out: 0.2
norms:
  kind:
    description: The output is kind.
    judge: classifier
sources:
  - {name: people, norm: kind, format: jsonl, path: people.jsonl}
)";

constexpr const char* kSecond = R"(name: second
norms:
  kind:
    description: The output is kind.
    objective: dpo
    judge: classifier
    classifier: {from: first}
sources:
  - {name: own, norm: kind, format: jsonl, path: own.jsonl, part: train}
  - {name: test, norm: kind, format: dataset, path: first, split: heldout, part: heldout}
)";

class CurateParts : public testing::Test {
 protected:
  CurateParts() {
    spdlog::set_level(spdlog::level::off);
    std::mt19937 random(1);
    std::string people;
    for (int i = 0; i < 200; ++i) {
      const std::string text = std::to_string(random()) + " " + std::to_string(random());
      people += R"({"source": "p )" + text + R"(", "desired": "kind words )" + text +
                R"(", "undesired": "ugly words )" + text + R"(", "weight": 2, "attributes": {"n": )" +
                std::to_string(i) + "}}\n";
    }
    folder.write("people.jsonl", people);
    folder.write("first.yaml", kFirst);
    folder.write("second.yaml", kSecond);
    folder.write("own.jsonl", R"({"source": "a source of its own", "desired": "kind", "undesired": "ugly"})"
                              "\n");
  }
  [[nodiscard]] Result<DatasetInfo> run(const std::string& name) const {
    return curate({.recipe = folder / (name + ".yaml"), .out = folder / name, .source_paths = {}, .replace = true});
  }
  [[nodiscard]] std::set<std::string> ids(const std::string& name, bool held_out) const {
    const auto dataset = Dataset::open(folder / name);
    EXPECT_TRUE(dataset.has_value());
    const Split& split = held_out ? dataset->held_out() : dataset->train();
    std::set<std::string> ids;
    for (std::int64_t row = 0; row < split.size(); ++row) ids.insert(to_string(split.id(row)));
    return ids;
  }
  ScratchFolder folder;
};

TEST_F(CurateParts, ADatasetsHeldOutExamplesAreHeldOutAgain) {
  ASSERT_TRUE(run("first").has_value());
  const auto info = run("second");
  ASSERT_TRUE(info.has_value()) << to_string(info.error());
  EXPECT_EQ(ids("second", true), ids("first", true));
  EXPECT_EQ(ids("second", false).size(), 1u);
  const auto second = Dataset::open(folder / "second");
  EXPECT_EQ(second->held_out().weight(0), 2);
  EXPECT_FALSE(std::isnan(second->held_out().at(0).shard->attribute(0, "n")));
}

TEST_F(CurateParts, TheClassifierIsTheOtherDatasets) {
  const auto first = run("first");
  ASSERT_TRUE(first.has_value());
  const auto second = run("second");
  ASSERT_TRUE(second.has_value()) << to_string(second.error());
  EXPECT_EQ(file_text(folder.path() / "first" / "kind.judge"), file_text(folder.path() / "second" / "kind.judge"));
  EXPECT_EQ(second->norms[0].classifier_accuracy, first->norms[0].classifier_accuracy);
}

TEST_F(CurateParts, ANearCopyOfAHeldOutExampleDoesNotTrain) {
  ASSERT_TRUE(run("first").has_value());
  const auto dataset = Dataset::open(folder / "first");
  const auto tokens = dataset->held_out().tokens(0, Side::kSource);
  const auto tokenizer = make_tokenizer("byte");
  const std::string source = (*tokenizer)->decode(std::vector<std::int32_t>(tokens.begin(), tokens.end()));
  folder.write("own.jsonl", R"({"source": "a source of its own", "desired": "kind"})"
                            "\n{\"source\": \"" +
                                source + "\", \"desired\": \"something new\"}\n");
  const auto info = run("second");
  ASSERT_TRUE(info.has_value()) << to_string(info.error());
  EXPECT_EQ(ids("second", false).size(), 1u);
  EXPECT_EQ(ids("second", true), ids("first", true));
  EXPECT_EQ(info->provenance.at("left_out").at("own").at("near_held_out").at("lines"), Json::array({2}));
}

TEST_F(CurateParts, SaysWhatADatasetLacks) {
  ASSERT_TRUE(run("first").has_value());
  std::string text = kSecond;
  folder.write("second.yaml", text.replace(text.find("split: heldout"), 14, "split: heldout, from_norm: polite"));
  auto info = run("second");
  ASSERT_FALSE(info.has_value());
  EXPECT_THAT(info.error().message, HasSubstr("no norm polite"));
  EXPECT_THAT(info.error().hint, HasSubstr("from_norm"));

  text = kSecond;
  for (std::size_t at = text.find("kind:"); at != std::string::npos; at = text.find("kind:", at + 1))
    text.replace(at, 5, "nice:");
  for (std::size_t at = text.find("norm: kind"); at != std::string::npos; at = text.find("norm: kind", at + 1))
    text.replace(at, 10, "norm: nice");
  folder.write("second.yaml", text.replace(text.find("split: heldout"), 14, "split: heldout, from_norm: kind"));
  info = run("second");
  ASSERT_FALSE(info.has_value());
  EXPECT_THAT(info.error().message, HasSubstr("no classifier for a norm nice"));
}

TEST_F(CurateParts, AFinishedClassifierTakesNoShares) {
  std::string text = kSecond;
  folder.write("second.yaml", text.replace(text.find("from: first"), 11, "from: first, train: 0.1"));
  const auto info = run("second");
  ASSERT_FALSE(info.has_value());
  EXPECT_EQ(info.error().code, ErrorCode::kUsage);
  EXPECT_THAT(info.error().message, HasSubstr("nothing to train"));
}

}  // namespace
}  // namespace plumbline
