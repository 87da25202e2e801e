#include "coordinator/curate/data_card.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/core/files.hpp"
#include "coordinator/curate/histogram.hpp"
#include "coordinator/curate/simulation.hpp"

namespace plumbline {

namespace {

const char* part_name(Part part) {
  switch (part) {
    case Part::kTrain:
      return "train";
    case Part::kHeldOut:
      return "held out";
    case Part::kJudgeTrain:
      return "trains the judge";
    case Part::kJudgeHeldOut:
      return "measures the judge";
  }
  return "";
}

std::string judge_name(const Norm& norm) { return norm.judge == JudgeKind::kRules ? "rules" : "classifier"; }

/// "637", or "PF00018.100:1" where a source has several files.
std::string place_name(const Pool& pool, const Place& place) {
  const auto& files = pool.files[place.source];
  if (files.size() < 2) return std::to_string(place.line);
  return files[place.file].name + ":" + std::to_string(place.line);
}

/// "sft learns from desired outputs", and whether examples of this kind count give any.
bool serves(const KindCounts& counts, Objective objective) {
  switch (objective) {
    case Objective::kSft:
      return counts.demonstrations + counts.preferences > 0;
    case Objective::kKto:
      return counts.demonstrations + counts.preferences + counts.prohibitions > 0;
    case Objective::kUnlikelihood:
      return counts.prohibitions + counts.preferences > 0;
    case Objective::kDpo:
    case Objective::kIpo:
    case Objective::kOrpo:
    case Objective::kCpo:
    case Objective::kSimpo:
      return counts.preferences > 0;
  }
  return false;
}

/// Text that a recipe's author wrote, safe in a Markdown table's cell and on one line.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

void add_norms(const CurationFacts& facts, std::string& card) {
  card += "## Norms\n\n| norm | what it asks for | objective | weight | judge |\n|---|---|---|---|---|\n";
  for (const Norm& norm : facts.norms)
    card += fmt::format("| {} | {} | {} | {} | {} |\n", norm.name, cell(norm.description), to_string(norm.objective),
                        norm.weight, judge_name(norm));
  for (const JudgeReport& judge : facts.judges)
    card += fmt::format(
        "\nThe judge of **{}** is a classifier, {}, trained on {} outputs that neither train nor test the model. On {} "
        "further "
        "outputs it is right in **{:.1f}%** ({:.1f}% on those that trained it; always giving the more frequent label "
        "is right in "
        "{:.1f}%). Every rate that it gives is as sure as that.\n",
        facts.norms[judge.norm].name, facts.norms[judge.norm].classifier_file, judge.train_outputs,
        judge.held_out_outputs, 100 * judge.held_out_accuracy, 100 * judge.train_accuracy, 100 * judge.majority);
}

void add_counts(const CurationFacts& facts, std::string& card) {
  card +=
      "\n## Examples\n\nA demonstration has a desired output, a prohibition an undesired one, a preference both.\n\n"
      "| norm | part | demonstrations | preferences | prohibitions | all |\n|---|---|---:|---:|---:|---:|\n";
  for (std::size_t norm = 0; norm < facts.norms.size(); ++norm)
    for (const Part part : {Part::kTrain, Part::kHeldOut, Part::kJudgeTrain, Part::kJudgeHeldOut}) {
      const KindCounts counts = count_examples(facts.pool, facts.splits, norm, part);
      if (counts.total() == 0 && part > Part::kHeldOut) continue;
      card += fmt::format("| {} | {} | {} | {} | {} | {} |\n", facts.norms[norm].name, part_name(part),
                          counts.demonstrations, counts.preferences, counts.prohibitions, counts.total());
    }
  card += fmt::format(
      "\nSources that are near copies of each other (Jaccard index of {}-character shingles at least {}) stay together "
      "in one "
      "part: {} clusters, the largest of {} examples.\n",
      facts.recipe.shingle_characters, facts.recipe.near_duplicate, facts.splits.clusters,
      facts.splits.largest_cluster);
}

void add_lengths(const CurationFacts& facts, std::string& card) {
  card += fmt::format(
      "\n## Lengths\n\nTokens of the train and held-out examples, the end of sequence included (tokenizer: {}).\n",
      facts.recipe.sentencepiece ? std::string("sentencepiece, with ") + kSentencePieceFile
                                 : "byte, one token a UTF-8 byte");
  static const char* const kSides[] = {"sources", "desired outputs", "undesired outputs"};
  for (std::size_t norm = 0; norm < facts.norms.size(); ++norm)
    for (std::size_t side = 0; side < 3; ++side) {
      const auto& lengths = facts.written.lengths[norm][side];
      if (lengths.empty()) continue;
      card += fmt::format("\n**{}**, {}: {}\n\n```text\n{}```\n", facts.norms[norm].name, kSides[side],
                          length_summary(lengths), text_histogram(lengths));
    }
}

void add_entries(const CurationFacts& facts, bool kept, std::string& card) {
  for (const auto& [key, entry] : facts.pool.left_out.entries()) {
    const auto& [source, reason] = key;
    if (is_kept(reason) != kept) continue;
    std::string places;
    for (const Place& place : entry.places) places += (places.empty() ? "" : ", ") + place_name(facts.pool, place);
    if (entry.places.size() < static_cast<std::size_t>(entry.count))
      places += fmt::format(", and {} more", static_cast<std::size_t>(entry.count) - entry.places.size());
    card += fmt::format("- **{}** of {}: {}.\n  Lines {}\n", entry.count, facts.recipe.sources[source].name,
                        sentence_of(reason), places);
  }
}

void add_left_out(const CurationFacts& facts, std::string& card) {
  const std::int64_t total = facts.pool.left_out.total();
  card += fmt::format("\n## Left out\n\n{} of {} examples{}\n", total, facts.pool.read,
                      facts.pool.left_out.entries().empty()
                          ? "."
                          : ". Line numbers are those of the file; a line may hold several examples.\n");
  add_entries(facts, false, card);
  std::string remarks;
  add_entries(facts, true, remarks);
  if (!remarks.empty()) card += "\n## Worth a look\n\nThese examples are in the dataset.\n\n" + remarks;
  const auto sentences = warnings(facts);
  if (sentences.empty()) return;
  card += "\n## Before training on this\n\n";
  for (const std::string& sentence : sentences) card += "- " + sentence + "\n";
}

void add_sources(const CurationFacts& facts, std::string& card) {
  card += "\n## Where it comes from\n";
  for (std::size_t i = 0; i < facts.recipe.sources.size(); ++i) {
    const SourceRecipe& source = facts.recipe.sources[i];
    card += fmt::format("\n**{}** ({}, for norm {})", source.name, source.format_name, facts.norms[source.norm].name);
    if (!source.description.empty()) card += ": " + cell(source.description);
    card += "\n";
    if (!source.license.empty()) card += "Licence: " + cell(source.license) + "\n";
    const auto& files = facts.pool.files[i];
    card += "\n| file | SHA-256 |\n|---|---|\n";
    for (const SourceFile& file : files) card += fmt::format("| {} | `{}` |\n", cell(file.name), file.sha256);
  }
  card += "\n### Recipe\n\n```yaml\n" + facts.recipe.text;
  if (!facts.recipe.text.ends_with('\n')) card += '\n';
  card += "```\n";
}

Json entry_json(const CurationFacts& facts, const LeftOut::Entry& entry) {
  Json lines = Json::array();
  for (const Place& place : entry.places)
    lines.push_back(facts.pool.files[place.source].size() < 2 ? Json(place.line) : Json(place_name(facts.pool, place)));
  return {{"count", entry.count}, {"lines", std::move(lines)}};
}

Json counts_json(const CurationFacts& facts) {
  Json json = Json::object();
  for (std::size_t norm = 0; norm < facts.norms.size(); ++norm)
    for (const auto& [part, key] :
         {std::pair(Part::kTrain, "train"), std::pair(Part::kHeldOut, "heldout"),
          std::pair(Part::kJudgeTrain, "judge_train"), std::pair(Part::kJudgeHeldOut, "judge_heldout")}) {
      const KindCounts counts = count_examples(facts.pool, facts.splits, norm, part);
      json[facts.norms[norm].name][key] = {{"demonstrations", counts.demonstrations},
                                           {"preferences", counts.preferences},
                                           {"prohibitions", counts.prohibitions}};
    }
  return json;
}

Json sources_json(const CurationFacts& facts) {
  Json json = Json::array();
  for (std::size_t i = 0; i < facts.recipe.sources.size(); ++i) {
    const SourceRecipe& source = facts.recipe.sources[i];
    Json files = Json::array();
    for (const SourceFile& file : facts.pool.files[i]) files.push_back({{"file", file.name}, {"sha256", file.sha256}});
    json.push_back({{"name", source.name},
                    {"norm", facts.norms[source.norm].name},
                    {"format", source.format_name},
                    {"description", source.description},
                    {"license", source.license},
                    {"files", std::move(files)}});
  }
  return json;
}

}  // namespace

KindCounts count_examples(const Pool& pool, const Splits& splits, std::size_t norm, Part part) {
  KindCounts counts;
  for (std::size_t i = 0; i < pool.examples.size(); ++i) {
    if (pool.examples[i].norm != norm || splits.parts[i] != part) continue;
    switch (pool.examples[i].example.kind) {
      case ExampleKind::kDemonstration:
        ++counts.demonstrations;
        break;
      case ExampleKind::kPreference:
        ++counts.preferences;
        break;
      case ExampleKind::kProhibition:
        ++counts.prohibitions;
        break;
    }
  }
  return counts;
}

std::vector<std::string> warnings(const CurationFacts& facts) {
  std::vector<std::string> sentences;
  for (std::size_t i = 0; i < facts.norms.size(); ++i) {
    const Norm& norm = facts.norms[i];
    const KindCounts train = count_examples(facts.pool, facts.splits, i, Part::kTrain);
    const KindCounts held_out = count_examples(facts.pool, facts.splits, i, Part::kHeldOut);
    if (train.total() == 0) {
      sentences.push_back(fmt::format("Norm {} has no example to train on.", norm.name));
      continue;
    }
    if (held_out.total() == 0)
      sentences.push_back(
          fmt::format("Norm {} has no held-out example: its sources have part: train, all its examples are near copies "
                      "of each other, "
                      "or it has one only.",
                      norm.name));
    if (!serves(train, norm.objective))
      sentences.push_back(fmt::format("Norm {} trains with {}, and none of its examples has what that learns from.",
                                      norm.name, to_string(norm.objective)));
  }
  for (const JudgeReport& judge : facts.judges)
    if (judge.held_out_accuracy < judge.majority + 0.1)
      sentences.push_back(
          fmt::format("The classifier of norm {} is right in {:.1f}% of its held-out outputs, where always giving one "
                      "label is right in {:.1f}%: do not "
                      "lean on its verdicts.",
                      facts.norms[judge.norm].name, 100 * judge.held_out_accuracy, 100 * judge.majority));
  return sentences;
}

Json provenance(const CurationFacts& facts) {
  Json left_out = Json::object(), remarks = Json::object(), judges = Json::object();
  for (const auto& [key, entry] : facts.pool.left_out.entries())
    (is_kept(key.second) ? remarks : left_out)[facts.recipe.sources[key.first].name][key_of(key.second)] =
        entry_json(facts, entry);
  for (const JudgeReport& judge : facts.judges)
    judges[facts.norms[judge.norm].name] = {{"train_outputs", judge.train_outputs},
                                            {"held_out_outputs", judge.held_out_outputs},
                                            {"train_accuracy", judge.train_accuracy},
                                            {"held_out_accuracy", judge.held_out_accuracy},
                                            {"majority_accuracy", judge.majority}};
  return {{"tool", std::string("plumbline ") + PLUMBLINE_VERSION},
          {"recipe", facts.recipe.text},
          {"recipe_sha256", sha256_hex(facts.recipe.text)},
          {"sources", sources_json(facts)},
          {"examples_read", facts.pool.read},
          {"examples_left_out", facts.pool.left_out.total()},
          {"left_out", std::move(left_out)},
          {"remarks", std::move(remarks)},
          {"counts", counts_json(facts)},
          {"clusters", {{"count", facts.splits.clusters}, {"largest", facts.splits.largest_cluster}}},
          {"judges", std::move(judges)}};
}

std::string data_card(const CurationFacts& facts) {
  std::string card = "# " + facts.recipe.name + "\n\n";
  if (!facts.recipe.description.empty()) card += facts.recipe.description + "\n\n";
  card += fmt::format("Made by `plumbline curate` (plumbline {}); `plumbline inspect` shows its shards.\n\n",
                      PLUMBLINE_VERSION);
  add_norms(facts, card);
  add_counts(facts, card);
  add_left_out(facts, card);
  add_lengths(facts, card);
  add_sources(facts, card);
  return card;
}

}  // namespace plumbline
