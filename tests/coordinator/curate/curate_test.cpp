// Curation as a whole: what is at --out afterwards, and what is not after an error.
#include "coordinator/curate/curate.hpp"

#include <gmock/gmock.h>

#include <set>

#include "coordinator/curate/staging.hpp"
#include "tests/coordinator/curate/curate_folder.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
TEST_F(Curate, MakesADatasetThatOpens) {
  const auto info = curate(options());
  ASSERT_TRUE(info.has_value()) << to_string(info.error());
  const auto dataset = Dataset::open(folder / "out");
  ASSERT_TRUE(dataset.has_value()) << to_string(dataset.error());
  EXPECT_EQ(dataset->held_out().size(), 80);
  EXPECT_EQ(dataset->train().size(), 400 - 80 - 40 - 10) << "the classifier has its own examples";
  EXPECT_EQ(dataset->info().norms[1].classifier_file, "learned.judge");
  EXPECT_GT(dataset->info().norms[1].classifier_accuracy, 0.9);
  for (const ShardEntry& shard : dataset->info().shards) EXPECT_LE(shard.examples, 100);
  EXPECT_FALSE(std::isnan(dataset->train().at(0).shard->attribute(0, "n")));
  const Json& left_out = dataset->info().provenance.at("left_out").at("polite").at("desired_equals_undesired");
  EXPECT_EQ(left_out.at("count"), 1);
  EXPECT_EQ(left_out.at("lines"), Json::array({201}));
  EXPECT_THAT(folder.names(), ElementsAre("learned.tsv", "out", "polite.jsonl", "recipe.yaml"));
}

/// A folder beside the recipe with the model of the tokenizer's tests, and a recipe that names it.
class CuratePieces : public Curate {
 protected:
  CuratePieces() {
    folder.write("t5/spiece.model", file_text(std::string(PLUMBLINE_SOURCE_DIR) + "/tests/common/text/spiece.model"));
    edit_recipe("seed: 3", "seed: 3\ntokenizer: {sentencepiece: t5/spiece.model}");
  }
};

TEST_F(CuratePieces, TheDatasetHasItsTokenizer) {
  const auto info = curate(options());
  ASSERT_TRUE(info.has_value()) << to_string(info.error());
  EXPECT_EQ(info->tokenizer, "sentencepiece");
  EXPECT_EQ(info->vocab_size, 400);
  EXPECT_EQ(file_text(folder / "out/spiece.model"), file_text(folder / "t5/spiece.model"));
  const auto dataset = Dataset::open(folder / "out");
  ASSERT_TRUE(dataset.has_value()) << to_string(dataset.error());
  std::set<std::string> desired;
  for (std::int64_t row = 0; row < dataset->train().size(); ++row)
    if (dataset->train().norm(row) == 0)
      desired.insert(text_of(dataset->tokenizer(), dataset->train().tokens(row, Side::kDesired)));
  EXPECT_THAT(desired, ElementsAre("friend"));
  EXPECT_THAT(file_text(folder / "out" / "README.md"), HasSubstr("(tokenizer: sentencepiece, with spiece.model)"));
}

TEST_F(CuratePieces, ADamagedModelInTheDatasetIsRefused) {
  ASSERT_TRUE(curate(options()).has_value());
  std::string bytes = file_text(folder / "out/spiece.model");
  bytes[bytes.size() / 2] ^= 1;
  folder.write("out/spiece.model", bytes);
  const auto dataset = Dataset::open(folder / "out", Verify::kSizes);
  ASSERT_TRUE(dataset.has_error());
  EXPECT_EQ(dataset.error().where, folder / "out/spiece.model");
}

TEST_F(CuratePieces, AFileThatIsNoModelIsNamed) {
  folder.write("t5/spiece.model", "not a model");
  EXPECT_EQ(error_of(options()).where, folder / "t5/spiece.model");
  fs::remove(folder / "t5/spiece.model");
  EXPECT_EQ(error_of(options()).where, folder / "t5/spiece.model");
}

TEST_F(CuratePieces, ADatasetOfBytesIsEncodedAnewAndTheOtherWayRound) {
  const std::string pieces = file_text(folder / "recipe.yaml");
  const auto from = [](const std::string& recipe, const std::string& dataset) {
    return recipe.substr(0, recipe.find("  learned:")) +
           "sources:\n  - {name: s, norm: polite, format: dataset, path: " + dataset + "}\n";
  };
  const auto texts = [&](const std::string& name) {
    const Dataset dataset = Dataset::open(folder / name).value();
    std::multiset<std::string> sources;
    for (const Split* split : {&dataset.train(), &dataset.held_out()})
      for (std::int64_t row = 0; row < split->size(); ++row)
        if (split->norm(row) == 0) sources.insert(text_of(dataset.tokenizer(), split->tokens(row, Side::kSource)));
    return sources;
  };
  folder.write("recipe.yaml", kRecipe);
  ASSERT_TRUE(curate(options(false, "bytes")).has_value());
  folder.write("recipe.yaml", from(pieces, "bytes"));
  ASSERT_TRUE(curate(options(false, "pieces")).has_value());
  folder.write("recipe.yaml", from(kRecipe, "pieces"));
  ASSERT_TRUE(curate(options(false, "again")).has_value());
  EXPECT_EQ(Dataset::open(folder / "pieces").value().info().tokenizer, "sentencepiece");
  EXPECT_EQ(Dataset::open(folder / "again").value().info().tokenizer, "byte");
  EXPECT_FALSE(texts("pieces").empty());
  const auto before = texts("bytes"), pieced = texts("pieces"), again = texts("again");
  EXPECT_TRUE(std::includes(before.begin(), before.end(), pieced.begin(), pieced.end()));
  EXPECT_TRUE(std::includes(pieced.begin(), pieced.end(), again.begin(), again.end()));
}

TEST_F(Curate, WritesACardThatAPersonCanCheck) {
  ASSERT_TRUE(curate(options()).has_value());
  const std::string card = file_text(folder / "out" / "README.md");
  EXPECT_THAT(card, HasSubstr("# tiny\n\nA dataset of two norms."));
  EXPECT_THAT(card, HasSubstr("| polite | train | 0 | 160 | 0 | 160 |"));
  EXPECT_THAT(card, HasSubstr("| learned | trains the judge | 0 | 40 | 0 | 40 |"));
  EXPECT_THAT(card, HasSubstr("**1** of polite: desired and undesired output are the same.\n  Lines 201"));
  EXPECT_THAT(card, HasSubstr("█"));
  EXPECT_THAT(card, HasSubstr("Licence: CC0"));
  EXPECT_THAT(card, HasSubstr("is right in **"));
  EXPECT_THAT(card, Not(HasSubstr(folder.path().string()))) << "a card says nothing about this machine";
}

TEST_F(Curate, GivesTheSameBytesForTheSameFiles) {
  ASSERT_TRUE(curate(options(false, "one")).has_value());
  ScratchFolder elsewhere;
  for (const std::string name : {"recipe.yaml", "learned.tsv"}) fs::copy_file(folder / name, elsewhere / name);
  CurateOptions other = options(false, "two");
  other.recipe = elsewhere / "recipe.yaml";
  other.source_paths = {{"polite", folder / "polite.jsonl"}};
  const auto info = curate(other);
  ASSERT_TRUE(info.has_value()) << to_string(info.error());
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder / "one")) {
    EXPECT_EQ(file_text(entry.path()), file_text(folder.path() / "two" / entry.path().filename())) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 7) << "the card, dataset.json, the judge, three shards to train on and one held out";
}

TEST_F(Curate, ReplacesADatasetOnlyWhenTold) {
  ASSERT_TRUE(curate(options()).has_value());
  const std::string before = file_text(folder / "out" / "dataset.json");
  edit_recipe("seed: 3", "seed: 4");
  const Error error = error_of(options());
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(error), HasSubstr("--replace"));
  EXPECT_EQ(file_text(folder / "out" / "dataset.json"), before);
  ASSERT_TRUE(curate(options(true)).has_value());
  EXPECT_NE(file_text(folder / "out" / "dataset.json"), before);
  EXPECT_THAT(folder.names(), ElementsAre("learned.tsv", "out", "polite.jsonl", "recipe.yaml"));
}

TEST_F(Curate, NeverReplacesWhatIsNoDataset) {
  folder.write("out/precious.txt", "mine");
  EXPECT_EQ(error_of(options(true)).code, ErrorCode::kUsage);
  EXPECT_EQ(file_text(folder / "out" / "precious.txt"), "mine");
  EXPECT_EQ(error_of(options(true, "polite.jsonl")).code, ErrorCode::kUsage);
}

TEST_F(Curate, RemovesWhatAKilledCallLeft) {
  folder.write(".out.0a1b2c3d.partial/train-00000.h5", "half");
  folder.write(".out.0a1b2c3d.partial.mine/notes", "another's");
  folder.write(".other.0a1b2c3d.partial/train-00000.h5", "half");
  ASSERT_TRUE(curate(options()).has_value());
  EXPECT_THAT(folder.names(), ElementsAre(".other.0a1b2c3d.partial", ".out.0a1b2c3d.partial.mine", "learned.tsv", "out",
                                          "polite.jsonl", "recipe.yaml"));
}

TEST_F(Curate, LeavesTheFolderOfACallThatIsAtWork) {
  auto at_work = Staging::make(folder / "out", false).value();
  ASSERT_TRUE(curate(options()).has_value());
  EXPECT_TRUE(fs::is_directory(at_work.folder()));
}

TEST_F(Curate, FillsAnEmptyFolder) {
  fs::create_directory(folder / "out");
  EXPECT_TRUE(curate(options()).has_value());
}

TEST_F(Curate, AnErrorKeepsTheEarlierDataset) {
  ASSERT_TRUE(curate(options()).has_value());
  const std::string before = file_text(folder / "out" / "dataset.json");
  folder.write("polite.jsonl", "{\"source\": \"a\"\n");
  EXPECT_THAT(error_of(options(true)).where, HasSubstr("polite.jsonl:1"));
  EXPECT_EQ(file_text(folder / "out" / "dataset.json"), before);
}

TEST_F(Curate, SaysHowToGiveAFileThatIsMissing) {
  fs::remove(folder / "learned.tsv");
  const Error error = error_of(options());
  EXPECT_EQ(error.code, ErrorCode::kData);
  EXPECT_THAT(error.where, HasSubstr("learned.tsv"));
  EXPECT_THAT(error.hint, HasSubstr("--source learned=PATH"));
}

TEST_F(Curate, NamesTheSourcesThatThereAre) {
  CurateOptions wrong = options();
  wrong.source_paths = {{"polit", "x"}};
  const Error error = error_of(wrong);
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_THAT(error.hint, HasSubstr("polite or learned"));
  EXPECT_THAT(error.hint, HasSubstr("Did you mean polite?"));
}

TEST_F(Curate, AFolderIsReadFileByFile) {
  const std::string line = "{\"source\": \"%\", \"desired\": \"b\", \"undesired\": \"fool\"}\n";
  for (const std::string name : {"b.jsonl", "a.jsonl"})
    folder.write("many/" + name,
                 std::string(line).replace(line.find('%'), 1, name) + "{\"source\": \"\", \"desired\": \"b\"}\n");
  folder.write("many/.hidden", "not JSON");
  CurateOptions many = options();
  many.source_paths = {{"polite", folder / "many"}};
  const auto info = curate(many);
  ASSERT_TRUE(info.has_value()) << to_string(info.error());
  EXPECT_EQ(info->provenance.at("left_out").at("polite").at("empty_source").at("lines"),
            Json::array({"a.jsonl:2", "b.jsonl:2"}));
}

TEST_F(Curate, SaysWhenNothingIsLeft) {
  folder.write("polite.jsonl", "");
  folder.write("learned.tsv", "s\td\tu\n");
  const Error blank = error_of(options());
  EXPECT_EQ(blank.code, ErrorCode::kData);
  EXPECT_THAT(blank.message, HasSubstr("no example"));
  folder.write("learned.tsv", "s\td\tu\na\tb\tb\n");
  const Error refused = error_of(options());
  EXPECT_THAT(refused.message, HasSubstr("no example is left of 1"));
  EXPECT_THAT(refused.hint, HasSubstr("desired and undesired output are the same"));
}

TEST_F(Curate, WarnsOfWhatTrainingCannotUse) {
  edit_recipe("judge: classifier", "rules: {min_characters: 1}");
  folder.write("learned.tsv", "s\td\tu\nonly source\tb\t\n");
  ASSERT_TRUE(curate(options()).has_value());
  const std::string card = file_text(folder / "out" / "README.md");
  EXPECT_THAT(card, HasSubstr("Norm learned has no held-out example"));
  EXPECT_THAT(card, HasSubstr("Norm learned trains with dpo, and none of its examples"));
}

/// Public data, where the machine has it: the counts that docs/decisions/0008 reports.
TEST_F(Curate, ParaDetoxsEqualPairsAreReported) {
  const char* given = std::getenv("PLUMBLINE_SHARED_DATA");
  const fs::path data = given != nullptr ? fs::path(given) : fs::path(PLUMBLINE_SOURCE_DIR) / ".." / "shared" / "data";
  const fs::path file = data / "paradetox" / "paradetox.tsv";
  if (!fs::exists(file)) GTEST_SKIP() << "no " << file << ": set PLUMBLINE_SHARED_DATA to the folder with paradetox/";
  const auto info = curate({.recipe = fs::path(PLUMBLINE_SOURCE_DIR) / "configs/data/paradetox.yaml",
                            .out = folder / "out",
                            .source_paths = {{"paradetox", file}}});
  ASSERT_TRUE(info.has_value()) << to_string(info.error());
  const Json& left_out = info->provenance.at("left_out").at("paradetox");
  EXPECT_EQ(left_out.at("desired_equals_undesired").at("count"), 110);
  EXPECT_EQ(left_out.at("desired_equals_undesired").at("lines").size(), 110u);
  EXPECT_EQ(left_out.at("desired_equals_undesired").at("lines").at(0), 5);
  EXPECT_EQ(left_out.at("desired_equals_undesired_in_words").at("count"), 27);
  EXPECT_GT(info->norms.at(0).classifier_accuracy, 0.93);
}

}  // namespace
}  // namespace plumbline
