#include "coordinator/curate/recipe.hpp"

#include <gmock/gmock.h>

#include <regex>

#include "tests/coordinator/curate/curate_fixtures.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSmall = R"(name: small
seed: 3
held_out: 0.2
norms:
  polite:
    description: No insult is left.
    objective: dpo
    judge: rules
    rules: {forbidden_words: [fool, idiot]}
    score: chrf
sources:
  - {name: polite, norm: polite, format: jsonl, path: polite.jsonl}
)";

std::string with(const std::string& from, const std::string& to) {
  std::string text = kSmall;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

Error recipe_error(const std::string& text) {
  const auto recipe = parse_recipe(text, "r.yaml", "");
  EXPECT_FALSE(recipe.has_value()) << text;
  if (recipe.has_value()) return {};
  EXPECT_EQ(recipe.error().code, ErrorCode::kUsage) << to_string(recipe.error());
  return recipe.error();
}

TEST(Recipe, ReadsASmallOne) {
  const auto recipe = parse_recipe(kSmall, "r.yaml", "/data");
  ASSERT_TRUE(recipe.has_value()) << to_string(recipe.error());
  EXPECT_EQ(recipe->name, "small");
  EXPECT_EQ(recipe->seed, 3u);
  EXPECT_DOUBLE_EQ(recipe->held_out, 0.2);
  EXPECT_DOUBLE_EQ(recipe->near_duplicate, 0.8);
  EXPECT_FALSE(recipe->max_source_tokens.has_value());
  ASSERT_EQ(recipe->norms.size(), 1u);
  EXPECT_EQ(recipe->norms[0].norm.objective, Objective::kDpo);
  EXPECT_THAT(recipe->norms[0].norm.rules.forbidden_words, ElementsAre("fool", "idiot"));
  EXPECT_EQ(recipe->sources[0].path, "/data/polite.jsonl") << "a relative path starts beside the recipe";
  EXPECT_EQ(recipe->text, kSmall);
}

TEST(Recipe, MayNameEveryObjective) {
  for (const std::string& name : objective_names()) {
    std::string text = kSmall;
    text.replace(text.find("objective: dpo"), 14, "objective: " + name);
    const auto recipe = parse_recipe(text, "r.yaml", "/data");
    ASSERT_TRUE(recipe.has_value()) << to_string(recipe.error());
    EXPECT_EQ(to_string(recipe->norms[0].norm.objective), name);
  }
}

TEST(Recipe, ReadsEveryFormat) {
  const auto format_of = [](const std::string& keys) {
    const auto recipe = parse_recipe(with("format: jsonl, path: polite.jsonl", keys), "r.yaml", "");
    EXPECT_TRUE(recipe.has_value()) << to_string(recipe.error());
    return recipe->sources.at(0).format;
  };
  EXPECT_EQ(std::get<JsonlFormat>(format_of("format: jsonl, path: p, fields: {source: q, undesired: ''}")).source, "q");
  EXPECT_EQ(std::get<DialoguesFormat>(format_of("format: dialogues, path: p")).desired, "chosen");
  const auto tsv = std::get<DelimitedFormat>(format_of(
      "format: tsv, path: p, quotes: line, columns: {source: a, desired: [b, c], undesired: d, attributes: [x]}"));
  EXPECT_EQ(tsv.delimiter, '\t');
  EXPECT_EQ(tsv.quotes, Quotes::kLine);
  EXPECT_THAT(tsv.desired, ElementsAre("b", "c"));
  EXPECT_THAT(tsv.undesired, ElementsAre("d"));
  EXPECT_EQ(std::get<DelimitedFormat>(format_of("format: csv, path: p, columns: {source: a, desired: b}")).quotes,
            Quotes::kRfc4180);
  const auto fasta =
      std::get<FastaFormat>(format_of("format: fasta, path: p, rows_per_example: [2, 3], examples_per_file: 9"));
  EXPECT_EQ(fasta.min_rows, 2);
  EXPECT_EQ(fasta.max_rows, 3);
  const auto simulated = std::get<SimulateFormat>(
      format_of("format: simulate, examples: 10, sequences: 3, root_length: [12, 24], branch_length: 0.5"));
  EXPECT_EQ(simulated.min_sequences, 3);
  EXPECT_EQ(simulated.max_sequences, 3);
  EXPECT_EQ(simulated.max_root_length, 24);
  EXPECT_DOUBLE_EQ(simulated.branch_length.high, 0.5);
  EXPECT_DOUBLE_EQ(simulated.split_opposite_charges, 0);
}

TEST(Recipe, GivesAlignmentsTheirOwnDefaults) {
  const auto recipe =
      parse_recipe(with("{forbidden_words: [fool, idiot]}\n    score: chrf", "{alignment: true}"), "r.yaml", "");
  ASSERT_TRUE(recipe.has_value()) << to_string(recipe.error());
  EXPECT_EQ(recipe->norms[0].norm.fallback, "left_justified");
  EXPECT_EQ(recipe->norms[0].norm.score, ScoreKind::kColumn);
}

TEST(Recipe, MayNameATokenizer) {
  EXPECT_FALSE(parse_recipe(with("seed: 3", "tokenizer: byte"), "r.yaml", "/data").value().sentencepiece.has_value());
  const auto pieces = parse_recipe(with("seed: 3", "tokenizer: {sentencepiece: t5/spiece.model}"), "r.yaml", "/data");
  ASSERT_TRUE(pieces.has_value()) << to_string(pieces.error());
  EXPECT_EQ(pieces->sentencepiece->file, "/data/t5/spiece.model") << "a relative path starts beside the recipe";
  EXPECT_EQ(pieces->sentencepiece->extra_ids, 100);
  const auto plain =
      parse_recipe(with("seed: 3", "tokenizer: {sentencepiece: /mt5.model, extra_ids: 0}"), "r.yaml", "/data");
  ASSERT_TRUE(plain.has_value()) << to_string(plain.error());
  EXPECT_EQ(plain->sentencepiece->file, "/mt5.model");
  EXPECT_EQ(plain->sentencepiece->extra_ids, 0);
}

TEST(Recipe, AlignmentsNeedBytes) {
  std::string text = with("rules: {forbidden_words: [fool, idiot]}\n    score: chrf", "rules: {alignment: true}");
  ASSERT_TRUE(parse_recipe(text, "r.yaml", "").has_value());
  text.replace(text.find("seed: 3"), 7, "tokenizer: {sentencepiece: s}");
  const Error error = recipe_error(text);
  EXPECT_EQ(error.where, "r.yaml:2");
  EXPECT_THAT(error.message, HasSubstr("rule alignment of norm polite"));
}

TEST(Recipe, NamesTheNearestKnownKey) {
  const Error error = recipe_error(with("held_out: 0.2", "heldout: 0.2"));
  EXPECT_EQ(error.where, "r.yaml:3");
  EXPECT_THAT(error.message, HasSubstr("heldout"));
  EXPECT_THAT(error.hint, HasSubstr("held_out"));
  EXPECT_THAT(to_string(recipe_error(with("forbidden_words", "forbiden_words"))), HasSubstr("forbidden_words"));
  EXPECT_THAT(to_string(recipe_error(with("path: polite.jsonl", "pth: polite.jsonl"))), HasSubstr("path"));
}

TEST(Recipe, NamesFileLineAndKeyOfEveryMistake) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"held_out: 0.2", "held_out: 2", "held_out"},
      {"held_out: 0.2", "held_out: none", "held_out"},
      {"seed: 3", "seed: -3", "seed"},
      {"seed: 3", "tokenizer: bytes", "{sentencepiece: FILE}"},
      {"seed: 3", "tokenizer: [byte]", "{sentencepiece: FILE}"},
      {"seed: 3", "tokenizer: {}", "sentencepiece"},
      {"seed: 3", "tokenizer: {sentencepiece: ''}", "tokenizer.sentencepiece is no path"},
      {"seed: 3", "tokenizer: {sentencepiece: s, extra_ids: -1}", "tokenizer.extra_ids"},
      {"seed: 3", "tokenizer: {sentencepiece: s, extra_ids: 10001}", "tokenizer.extra_ids"},
      {"seed: 3", "tokenizer: {sentencepiece: s, extra_id: 1}", "extra_ids"},
      {"name: small", "name: 'a/b'", "name"},
      {"name: small\n", "", "name"},
      {"objective: dpo", "objective: ppo", "objective"},
      {"judge: rules", "judge: oracle", "judge"},
      {"    rules: {forbidden_words: [fool, idiot]}\n", "", "no rule"},
      {"{forbidden_words: [fool, idiot]}", "{forbidden_patterns: ['(']}", "("},
      {"{forbidden_words: [fool, idiot]}", "{min_characters: 9, max_characters: 3}", "at least 9"},
      {"score: chrf", "score: column", "alignment"},
      {"score: chrf", "fallback: nothing", "fallback"},
      {"score: chrf", "fallback: left_justified", "alignment"},
      {"score: chrf", "classifier: {train: 0.1}", "judge: classifier"},
      {"    description: No insult is left.\n", "", "description"},
      {"norm: polite, f", "norm: rude, f", "polite"},
      {"format: jsonl", "format: parquet", "format"},
      {"path: polite.jsonl", "path: ''", "path"},
      {", path: polite.jsonl", "", "path"},
      {"format: jsonl, path: polite.jsonl", "format: tsv, path: p", "columns"},
      {"format: jsonl, path: polite.jsonl", "format: tsv, path: p, columns: {source: a}", "no column for an output"},
      {"format: jsonl, path: polite.jsonl", "format: simulate, path: p, examples: 3", "path"},
      {"format: jsonl, path: polite.jsonl", "format: simulate", "examples"},
      {"format: jsonl, path: polite.jsonl", "format: simulate, examples: 3, branch_length: [2, 1]", "branch_length"},
      {"format: jsonl, path: polite.jsonl", "format: fasta, path: p, examples_per_file: 3", "rows_per_example"},
  };
  for (const auto& [from, to, fragment] : cases) {
    const Error error = recipe_error(with(from, to));
    EXPECT_THAT(to_string(error), HasSubstr(fragment)) << to;
    EXPECT_THAT(error.where, HasSubstr("r.yaml:")) << to;
  }
}

TEST(Recipe, RefusesTwoSourcesOfOneName) {
  const std::string text = std::string(kSmall) + "  - {name: polite, norm: polite, format: jsonl, path: other.jsonl}\n";
  EXPECT_THAT(recipe_error(text).message, HasSubstr("earlier source, polite"));
}

TEST(Recipe, LeavesSomethingToTrainOn) {
  const std::string text = with("judge: rules\n    rules: {forbidden_words: [fool, idiot]}",
                                "judge: classifier\n    classifier: {train: 0.7, held_out: 0.1}");
  EXPECT_THAT(recipe_error(text).message, HasSubstr("less than 5%"));
}

TEST(Recipe, MissingFileIsAUsageError) {
  const auto recipe = load_recipe("/nowhere/recipe.yaml");
  ASSERT_FALSE(recipe.has_value());
  EXPECT_EQ(recipe.error().code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(recipe.error()), HasSubstr("/nowhere/recipe.yaml"));
}

TEST(Recipe, TheProjectsOwnRecipesAreRead) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(PLUMBLINE_SOURCE_DIR) + "/configs/data")) {
    const auto recipe = load_recipe(entry.path());
    EXPECT_TRUE(recipe.has_value()) << to_string(recipe.error());
    ++count;
  }
  EXPECT_GE(count, 4);
}

/// Every fenced block of YAML in docs/writing-norms.md: whole recipes are read as they stand; a list of sources or a
/// map of norms is put into a recipe that has the rest.
TEST(Recipe, TheDocumentationsExamplesAreRead) {
  const std::string page = file_text(std::string(PLUMBLINE_SOURCE_DIR) + "/docs/writing-norms.md");
  const std::regex fence("```yaml\n([^`]*)```");
  int recipes = 0, norms = 0, sources = 0;
  for (std::sregex_iterator it(page.begin(), page.end(), fence), end; it != end; ++it) {
    std::string block = (*it)[1];
    const std::string example = block;
    if (block.starts_with("name:")) {
      ++recipes;
    } else if (block.starts_with("norms:")) {
      ++norms;
      const std::string norm = std::regex_replace(block.substr(block.find('\n') + 1), std::regex(":[^]*"), "");
      block =
          "name: example\n" + block + "sources:\n  - {name: s, norm: " + norm.substr(2) + ", format: jsonl, path: p}\n";
    } else {
      ASSERT_TRUE(block.starts_with("sources:")) << block;
      ++sources;
      std::smatch norm;
      ASSERT_TRUE(std::regex_search(example, norm, std::regex("norm: ([a-z-]+)"))) << block;
      block = "name: example\nnorms:\n  " + norm[1].str() + ": {description: d, rules: {alignment: true}}\n" + block;
    }
    const auto recipe = parse_recipe(block, "docs/writing-norms.md", "");
    EXPECT_TRUE(recipe.has_value()) << to_string(recipe.error()) << "\n" << block;
  }
  EXPECT_GE(recipes, 1);
  EXPECT_GE(norms, 3) << "rules, classifier, alignment";
  EXPECT_GE(sources, 5) << "one a format";
}

}  // namespace
}  // namespace plumbline
