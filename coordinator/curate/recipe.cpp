#include "coordinator/curate/recipe.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

#include "common/config/yaml_reader.hpp"
#include "common/core/files.hpp"
#include "common/text/tokenizer.hpp"
#include "coordinator/curate/recipe_formats.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kMaxNorms = 1000, kMaxSources = 1000;

/// A norm's name becomes the name of its judge's file, of keys in metrics, and of headings.
Status check_name(const YamlNode& node, const std::string& name) {
  const auto allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
  if (name.empty() || name.size() > 64 || name.front() == '.' || !std::all_of(name.begin(), name.end(), allowed))
    return node.error("must have a name of 1 to 64 letters, digits, '-', '_' or '.' that starts with no '.'");
  return {};
}

/// A judge's complaint about a pattern is a mistake in the recipe, so it becomes a usage error at its place.
Error in_recipe(Error error, const YamlNode& node) {
  error.code = ErrorCode::kUsage;
  if (error.where.empty()) error.where = node.where();
  return error;
}

/// `tokenizer: byte`, or `tokenizer: {sentencepiece: FILE, extra_ids: N}`.
Result<std::optional<SentencePieceRecipe>> read_tokenizer(const YamlNode& node, const std::filesystem::path& folder) {
  if (node.is_scalar() && node.text() == "byte") return std::optional<SentencePieceRecipe>();
  if (!node.is_map()) return node.wrong_type("byte, or {sentencepiece: FILE}");
  SentencePieceRecipe recipe;
  std::string path;
  PLUMBLINE_ASSIGN(YamlMap map, YamlMap::of(node));
  PLUMBLINE_TRY(map.require("sentencepiece", path));
  if (path.empty() || path.find('\0') != std::string::npos) return map.find("sentencepiece")->error("is no path");
  recipe.file = folder / path;
  PLUMBLINE_TRY(map.read("extra_ids", recipe.extra_ids, {.min = 0, .max = kMaxExtraIds}));
  PLUMBLINE_TRY(map.finish());
  return std::optional(std::move(recipe));
}

/// A piece may hold several residues, and a text's first one a space: outputs could not be kept to valid alignments.
Status check_alignments(const YamlNode& root, const Recipe& recipe) {
  if (!recipe.sentencepiece) return {};
  for (const NormRecipe& norm : recipe.norms)
    if (norm.norm.rules.alignment)
      return root.find("tokenizer")
          ->error("is not byte, which the rule alignment of norm " + norm.norm.name + " needs",
                  "Write tokenizer: byte, and other norms in a recipe of their own.");
  return {};
}

Result<RuleSet> read_rules(const YamlNode& node) {
  RuleSet rules;
  PLUMBLINE_ASSIGN(YamlMap map, YamlMap::of(node));
  PLUMBLINE_TRY(map.read("forbidden_words", rules.forbidden_words));
  PLUMBLINE_TRY(map.read("forbidden_patterns", rules.forbidden_patterns));
  PLUMBLINE_TRY(map.read("required_patterns", rules.required_patterns));
  PLUMBLINE_TRY(map.read("min_characters", rules.min_characters, {.min = 0}));
  PLUMBLINE_TRY(map.read("max_characters", rules.max_characters, {.min = 1}));
  PLUMBLINE_TRY(map.read("not_a_copy", rules.not_a_copy));
  PLUMBLINE_TRY(map.read("alignment", rules.alignment));
  PLUMBLINE_TRY(map.read("no_staggered_gaps", rules.no_staggered_gaps));
  PLUMBLINE_TRY(map.read_choice("source_encoding", rules.source_encoding, {"concat"}));
  PLUMBLINE_TRY(map.read_choice("target_encoding", rules.target_encoding, {"spaces"}));
  PLUMBLINE_TRY(map.finish());
  if (rules.min_characters && rules.max_characters && *rules.min_characters > *rules.max_characters)
    return node.error("asks for at least " + std::to_string(*rules.min_characters) + " and at most " +
                      std::to_string(*rules.max_characters) + " characters");
  if (rules.no_staggered_gaps && !rules.alignment)
    return node.error("has no_staggered_gaps, which needs the rule alignment", "Add alignment: true.");
  const auto judge = make_rule_judge(rules, node.where());
  if (!judge.has_value()) return in_recipe(judge.error(), node);
  return rules;
}

bool any_rule(const RuleSet& rules) {
  return !rules.forbidden_words.empty() || !rules.forbidden_patterns.empty() || !rules.required_patterns.empty() ||
         rules.min_characters || rules.max_characters || rules.not_a_copy || rules.alignment;
}

Status read_judge_shares(YamlMap& map, const std::filesystem::path& folder, NormRecipe& norm) {
  const YamlNode* node = map.find("classifier");
  if (node == nullptr) return {};
  if (norm.norm.judge != JudgeKind::kClassifier)
    return node->error("belongs to judge: classifier", "Write judge: classifier, or remove this key.");
  PLUMBLINE_ASSIGN(YamlMap shares, YamlMap::of(*node));
  PLUMBLINE_TRY(shares.read("train", norm.judge_train, {.above = 0, .max = 0.9}));
  PLUMBLINE_TRY(shares.read("held_out", norm.judge_held_out, {.above = 0, .max = 0.9}));
  if (const YamlNode* from = shares.find("from")) {
    if (shares.find("train") != nullptr || shares.find("held_out") != nullptr)
      return from->error("takes a finished classifier, so there is nothing to train or measure",
                         "Remove train and held_out, or from.");
    PLUMBLINE_ASSIGN(const std::string path, from->as<std::string>());
    if (path.empty() || path.find('\0') != std::string::npos) return from->error("is no path");
    norm.judge_from = folder / path;
    norm.judge_train = norm.judge_held_out = 0;
  }
  return shares.finish();
}

/// What the parts of a norm demand of each other.
Status check_norm(const YamlNode& node, const Norm& norm) {
  if (norm.judge == JudgeKind::kRules && !any_rule(norm.rules))
    return node.error("has judge: rules but no rule",
                      "Give rules, or judge: classifier to learn a judge from examples.");
  if (norm.score == ScoreKind::kColumn && !norm.rules.alignment)
    return node.error("has score: column, which needs rules: {alignment: true}");
  if (norm.fallback == "left_justified" && !norm.rules.alignment)
    return node.error("has fallback: left_justified, which needs rules: {alignment: true}");
  if (norm.fallback != "source" && norm.fallback != "left_justified" && !norm.fallback.starts_with("text:"))
    return node.error("has an unknown fallback", "Known: source, left_justified, or \"text:\" and a text in quotes.");
  return {};
}

Result<NormRecipe> read_norm(const std::string& name, const YamlNode& node, const std::filesystem::path& folder) {
  NormRecipe recipe;
  Norm& norm = recipe.norm;
  norm.name = name;
  PLUMBLINE_TRY(check_name(node, name));
  PLUMBLINE_ASSIGN(YamlMap map, YamlMap::of(node));
  PLUMBLINE_TRY(map.require("description", norm.description));
  std::string objective = "sft", judge = "rules";
  PLUMBLINE_TRY(map.read_choice("objective", objective, objective_names()));
  PLUMBLINE_ASSIGN(norm.objective, parse_objective(objective, node.where()));
  PLUMBLINE_TRY(map.read("weight", norm.weight, {.above = 0, .max = 1e6}));
  PLUMBLINE_TRY(map.read_choice("judge", judge, {"rules", "classifier"}));
  norm.judge = judge == "rules" ? JudgeKind::kRules : JudgeKind::kClassifier;
  if (norm.judge == JudgeKind::kClassifier) norm.classifier_file = name + ".judge";
  if (const YamlNode* rules = map.find("rules")) {
    PLUMBLINE_ASSIGN(norm.rules, read_rules(*rules));
  }
  PLUMBLINE_TRY(read_judge_shares(map, folder, recipe));
  norm.fallback = norm.rules.alignment ? "left_justified" : "source";
  PLUMBLINE_TRY(map.read("fallback", norm.fallback));
  std::string score = norm.rules.alignment ? "column" : "chrf";
  PLUMBLINE_TRY(map.read("ignore_form", recipe.ignore_form));
  PLUMBLINE_TRY(map.read_choice("score", score, {"chrf", "column"}));
  norm.score = score == "chrf" ? ScoreKind::kChrf : ScoreKind::kColumn;
  PLUMBLINE_TRY(map.finish());
  PLUMBLINE_TRY(check_norm(node, norm));
  return recipe;
}

Status read_norms(YamlMap& map, Recipe& recipe, const std::filesystem::path& folder) {
  PLUMBLINE_ASSIGN(const YamlNode* node, map.require_node("norms", "Name at least one norm and what it asks for."));
  if (!node->is_map() || node->members().empty()) return node->wrong_type("a map of at least one norm");
  if (node->members().size() > kMaxNorms) return node->error("holds more than " + std::to_string(kMaxNorms) + " norms");
  for (const auto& [name, member] : node->members()) {
    PLUMBLINE_ASSIGN(NormRecipe norm, read_norm(name, member, folder));
    recipe.norms.push_back(std::move(norm));
  }
  return {};
}

Result<std::size_t> norm_index(const Recipe& recipe, const YamlNode& node, const std::string& name) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < recipe.norms.size(); ++i) {
    if (recipe.norms[i].norm.name == name) return i;
    names.push_back(recipe.norms[i].norm.name);
  }
  return node.error("names no norm of this recipe", "Norms: " + join_choices(names) + ".");
}

Result<SourceRecipe> read_source(const Recipe& recipe, const YamlNode& node, const std::filesystem::path& folder) {
  SourceRecipe source;
  PLUMBLINE_ASSIGN(YamlMap map, YamlMap::of(node));
  PLUMBLINE_TRY(map.require("name", source.name));
  PLUMBLINE_TRY(check_name(*map.find("name"), source.name));
  std::string norm;
  PLUMBLINE_TRY(map.require("norm", norm));
  PLUMBLINE_ASSIGN(source.norm, norm_index(recipe, *map.find("norm"), norm));
  PLUMBLINE_TRY(map.require_node("format"));
  PLUMBLINE_TRY(map.read_choice("format", source.format_name, format_names()));
  PLUMBLINE_TRY(map.read("description", source.description));
  PLUMBLINE_TRY(map.read("license", source.license));
  if (reads_files(source.format_name)) {
    std::string path;
    PLUMBLINE_TRY(map.require("path", path));
    if (path.empty() || path.find('\0') != std::string::npos) return map.find("path")->error("is no path");
    source.path = folder / path;
  }
  std::string part = "any";
  PLUMBLINE_TRY(map.read_choice("part", part, {"any", "train", "heldout"}));
  source.part = part == "any" ? SourcePart::kAny : part == "train" ? SourcePart::kTrain : SourcePart::kHeldOut;
  PLUMBLINE_ASSIGN(source.format, read_format(source.format_name, map));
  PLUMBLINE_TRY(map.finish());
  return source;
}

Status read_sources(YamlMap& map, Recipe& recipe, const std::filesystem::path& folder) {
  PLUMBLINE_ASSIGN(const YamlNode* node, map.require_node("sources", "List at least one file with examples."));
  if (!node->is_list() || node->items().empty()) return node->wrong_type("a list of at least one source");
  if (node->items().size() > kMaxSources)
    return node->error("holds more than " + std::to_string(kMaxSources) + " sources");
  for (const YamlNode& item : node->items()) {
    PLUMBLINE_ASSIGN(SourceRecipe source, read_source(recipe, item, folder));
    for (const SourceRecipe& other : recipe.sources)
      if (other.name == source.name) return item.error("has the name of an earlier source, " + source.name);
    recipe.sources.push_back(std::move(source));
  }
  return {};
}

Status check_shares(const YamlNode& root, const Recipe& recipe) {
  for (const NormRecipe& norm : recipe.norms)
    if (norm.norm.judge == JudgeKind::kClassifier && recipe.held_out + norm.judge_train + norm.judge_held_out > 0.95)
      return root.error("leaves less than 5% of norm " + norm.norm.name + " to train on",
                        "Lower held_out, classifier.train or classifier.held_out.");
  return {};
}

}  // namespace

Result<Recipe> parse_recipe(const std::string& yaml, const std::string& where, const std::filesystem::path& folder) {
  Recipe recipe;
  recipe.text = yaml;
  PLUMBLINE_ASSIGN(const YamlNode root, parse_yaml(yaml, where));
  PLUMBLINE_ASSIGN(YamlMap map, YamlMap::of(root));
  PLUMBLINE_TRY(map.require("name", recipe.name));
  PLUMBLINE_TRY(check_name(*map.find("name"), recipe.name));
  PLUMBLINE_TRY(map.read("description", recipe.description));
  if (const YamlNode* tokenizer = map.find("tokenizer")) {
    PLUMBLINE_ASSIGN(recipe.sentencepiece, read_tokenizer(*tokenizer, folder));
  }
  PLUMBLINE_TRY(map.read("seed", recipe.seed));
  PLUMBLINE_TRY(map.read("held_out", recipe.held_out, {.above = 0, .max = 0.9}));
  PLUMBLINE_TRY(map.read("near_duplicate", recipe.near_duplicate, {.min = 0.3, .max = 1}));
  PLUMBLINE_TRY(map.read("shingle_characters", recipe.shingle_characters, {.min = 1, .max = 64}));
  PLUMBLINE_TRY(map.read("max_source_tokens", recipe.max_source_tokens, {.min = 1}));
  PLUMBLINE_TRY(map.read("max_output_tokens", recipe.max_output_tokens, {.min = 1}));
  PLUMBLINE_TRY(map.read("shard_examples", recipe.shard_examples, {.min = 1, .max = 1'000'000}));
  PLUMBLINE_TRY(read_norms(map, recipe, folder));
  PLUMBLINE_TRY(read_sources(map, recipe, folder));
  PLUMBLINE_TRY(map.finish());
  PLUMBLINE_TRY(check_shares(root, recipe));
  PLUMBLINE_TRY(check_alignments(root, recipe));
  return recipe;
}

Result<Recipe> load_recipe(const std::filesystem::path& file) {
  const auto text = read_file(file, kMaxYamlBytes);
  if (!text.has_value()) {  // A recipe that is not there is a mistake on the command line.
    Error error = text.error();
    error.code = ErrorCode::kUsage;
    return error;
  }
  return parse_recipe(*text, file.string(), file.parent_path());
}

}  // namespace plumbline
