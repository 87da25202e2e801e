#include "coordinator/curate/curate.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/config/yaml_reader.hpp"
#include "common/core/files.hpp"
#include "coordinator/curate/classifier_judges.hpp"
#include "coordinator/curate/data_card.hpp"
#include "coordinator/curate/pool.hpp"
#include "coordinator/curate/recipe.hpp"
#include "coordinator/curate/shard_output.hpp"
#include "coordinator/curate/split.hpp"
#include "coordinator/curate/staging.hpp"

namespace plumbline {

namespace {

/// Every path on the command line must belong to a source that reads a file.
Status check_source_paths(const Recipe& recipe, const CurateOptions& options) {
  std::vector<std::string> names;
  for (const SourceRecipe& source : recipe.sources)
    if (source.reads_files()) names.push_back(source.name);
  for (const auto& [name, path] : options.source_paths) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const auto nearest = nearest_name(name, names);
    std::string hint =
        names.empty() ? "None of its sources reads a file." : "Its sources: " + join_choices(names) + ".";
    if (nearest) hint += " Did you mean " + *nearest + "?";
    return usage_error("--source " + name + ": the recipe has no such source", options.recipe.string(), hint);
  }
  return {};
}

/// The recipe's tokenizer. Its file, if it has one, is copied into `folder` first and named in `info`.
Result<std::unique_ptr<Tokenizer>> take_tokenizer(const Recipe& recipe, const std::filesystem::path& folder,
                                                  DatasetInfo& info) {
  if (recipe.sentencepiece) {
    const auto& [file, extra_ids] = *recipe.sentencepiece;
    PLUMBLINE_TRY(load_sentencepiece(file, extra_ids));  // An error is to name this file, not its copy.
    PLUMBLINE_ASSIGN(const std::string bytes, read_file(file));
    PLUMBLINE_TRY(write_file_atomically(folder / kSentencePieceFile, bytes));
    info.tokenizer = "sentencepiece";
    info.sentencepiece = SentencePieceEntry{kSentencePieceFile, extra_ids, sha256_hex(bytes)};
  }
  PLUMBLINE_ASSIGN(auto tokenizer, dataset_tokenizer(info, folder));
  info.vocab_size = tokenizer->vocab_size();
  return Result<std::unique_ptr<Tokenizer>>(boost::system::in_place_value, std::move(tokenizer));
}

/// How many examples each reason took, in a sentence for an error or the log.
std::string reasons_of(const LeftOut& left_out) {
  std::string text;
  for (const auto& [key, entry] : left_out.entries())
    if (!is_kept(key.second))
      text += (text.empty() ? "" : "; ") + std::to_string(entry.count) + ": " + sentence_of(key.second);
  return text;
}

Status check_any_left(const Pool& pool, const CurateOptions& options) {
  if (!pool.examples.empty()) return {};
  if (pool.read == 0)
    return data_error("the recipe's sources hold no example", options.recipe.string(),
                      "Every file was read and was blank.");
  return data_error("no example is left of " + std::to_string(pool.read), options.recipe.string(),
                    reasons_of(pool.left_out));
}

void log_left_out(const Recipe& recipe, const Pool& pool) {
  for (const auto& [key, entry] : pool.left_out.entries()) {
    const auto& [source, reason] = key;
    std::string lines;
    for (std::size_t i = 0; i < std::min<std::size_t>(entry.places.size(), 8); ++i)
      lines += (i == 0 ? "" : ", ") + std::to_string(entry.places[i].line);
    if (entry.count > 8) lines += ", …";
    spdlog::info("source {}: {} {}: {} (lines {})", recipe.sources[source].name,
                 is_kept(reason) ? "kept, worth a look," : "left out", entry.count, sentence_of(reason), lines);
  }
}

}  // namespace

Result<DatasetInfo> curate(const CurateOptions& options) {
  PLUMBLINE_ASSIGN(const Recipe recipe, load_recipe(options.recipe));
  PLUMBLINE_TRY(check_source_paths(recipe, options));
  PLUMBLINE_ASSIGN(Staging staging, Staging::make(options.out, options.replace));
  const std::filesystem::path& folder = staging.folder();
  DatasetInfo info;
  info.name = recipe.name;
  PLUMBLINE_ASSIGN(const auto tokenizer, take_tokenizer(recipe, folder, info));

  PLUMBLINE_ASSIGN(Pool pool, read_sources(recipe, *tokenizer, options.source_paths, folder));
  remove_duplicates_and_contradictions(pool);
  remove_near_held_out(pool, recipe);
  log_left_out(recipe, pool);
  PLUMBLINE_TRY(check_any_left(pool, options));

  spdlog::info("splitting {} examples by clusters of near copies", pool.examples.size());
  const Splits splits = split_examples(pool.examples, recipe);

  for (const NormRecipe& norm : recipe.norms) info.norms.push_back(norm.norm);
  PLUMBLINE_ASSIGN(const auto judges, make_classifiers(pool.examples, splits, recipe, folder, info.norms));
  for (const JudgeReport& judge : judges)
    spdlog::info("norm {}: the classifier is right in {:.1f}% of {} held-out outputs", info.norms[judge.norm].name,
                 100 * judge.held_out_accuracy, judge.held_out_outputs);

  PLUMBLINE_ASSIGN(const WrittenShards written, write_shards(pool, splits, recipe, *tokenizer, folder));
  info.shards = written.shards;
  const CurationFacts facts{recipe, pool, splits, written, judges, info.norms};
  info.provenance = provenance(facts);
  for (const std::string& warning : warnings(facts)) spdlog::warn("{}", warning);
  PLUMBLINE_TRY(write_file_atomically(folder / "README.md", data_card(facts)));
  PLUMBLINE_TRY(write_file_atomically(folder / "dataset.json", to_json(info).dump(2) + "\n"));
  PLUMBLINE_TRY(staging.commit());
  return info;
}

}  // namespace plumbline
