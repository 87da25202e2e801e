#include "coordinator/curate/recipe_formats.hpp"

#include <utility>

#include "common/data/dataset.hpp"

namespace plumbline {

namespace {

constexpr int kMaxSequences = 64;
constexpr int kMaxExamples = 10'000'000;

Result<Format> read_jsonl(YamlMap& source) {
  JsonlFormat format;
  if (const YamlNode* node = source.find("fields")) {
    PLUMBLINE_ASSIGN(YamlMap fields, YamlMap::of(*node));
    PLUMBLINE_TRY(fields.read("source", format.source));
    PLUMBLINE_TRY(fields.read("desired", format.desired));
    PLUMBLINE_TRY(fields.read("undesired", format.undesired));
    PLUMBLINE_TRY(fields.read("weight", format.weight));
    PLUMBLINE_TRY(fields.read("group", format.group));
    PLUMBLINE_TRY(fields.read("attributes", format.attributes));
    PLUMBLINE_TRY(fields.finish());
    if (format.source.empty()) return node->error("names no key for the source");
    if (format.desired.empty() && format.undesired.empty()) return node->error("names no key for an output");
  }
  return Format(format);
}

Result<Format> read_dialogues(YamlMap& source) {
  DialoguesFormat format;
  if (const YamlNode* node = source.find("fields")) {
    PLUMBLINE_ASSIGN(YamlMap fields, YamlMap::of(*node));
    PLUMBLINE_TRY(fields.read("desired", format.desired));
    PLUMBLINE_TRY(fields.read("undesired", format.undesired));
    PLUMBLINE_TRY(fields.finish());
    if (format.desired.empty() || format.undesired.empty()) return node->error("must name a key for both dialogues");
  }
  return Format(format);
}

/// One name, or a list of names.
Status read_names(YamlMap& map, const std::string& key, std::vector<std::string>& names) {
  const YamlNode* node = map.find(key);
  if (node == nullptr) return {};
  if (node->is_list()) {
    PLUMBLINE_ASSIGN(names, node->as_list<std::string>());
  } else {
    PLUMBLINE_ASSIGN(std::string name, node->as<std::string>());
    names = {std::move(name)};
  }
  for (const std::string& name : names)
    if (name.empty()) return node->error("names a column without a name");
  return {};
}

Result<Quotes> read_quotes(YamlMap& source, Quotes fallback) {
  std::string name = fallback == Quotes::kRfc4180 ? "rfc4180" : "none";
  PLUMBLINE_TRY(source.read_choice("quotes", name, {"none", "line", "rfc4180"}));
  return name == "none" ? Quotes::kNone : name == "line" ? Quotes::kLine : Quotes::kRfc4180;
}

Result<Format> read_delimited(YamlMap& source, char delimiter, Quotes quotes) {
  DelimitedFormat format;
  format.delimiter = delimiter;
  PLUMBLINE_ASSIGN(format.quotes, read_quotes(source, quotes));
  PLUMBLINE_TRY(source.read("header", format.header));
  PLUMBLINE_ASSIGN(const YamlNode* node,
                   source.require_node("columns",
                                       "Say which column is which, for example "
                                       "columns: {source: text, desired: better, undesired: worse}."));
  PLUMBLINE_ASSIGN(YamlMap columns, YamlMap::of(*node));
  PLUMBLINE_TRY(columns.require("source", format.source));
  PLUMBLINE_TRY(read_names(columns, "desired", format.desired));
  PLUMBLINE_TRY(read_names(columns, "undesired", format.undesired));
  PLUMBLINE_TRY(columns.read("weight", format.weight));
  PLUMBLINE_TRY(columns.read("group", format.group));
  PLUMBLINE_TRY(read_names(columns, "attributes", format.attributes));
  PLUMBLINE_TRY(columns.finish());
  if (format.source.empty()) return node->error("names a column without a name");
  if (format.desired.empty() && format.undesired.empty())
    return node->error("names no column for an output", "Give desired, undesired or both.");
  return Format(std::move(format));
}

/// "2", or "[2, 3]" for a number drawn anew for each example.
Status read_int_range(YamlMap& map, const std::string& key, const Bounds& bounds, int& low, int& high) {
  const YamlNode* node = map.find(key);
  if (node == nullptr) return {};
  if (!node->is_list()) {
    PLUMBLINE_ASSIGN(low, node->as<int>(bounds));
    high = low;
    return {};
  }
  PLUMBLINE_ASSIGN(const std::vector<int> ends, node->as_list<int>(bounds));
  if (ends.size() != 2 || ends[0] > ends[1]) return node->wrong_type("a number, or [smallest, largest]");
  low = ends[0], high = ends[1];
  return {};
}

Status read_range(YamlMap& map, const std::string& key, const Bounds& bounds, Range& range) {
  const YamlNode* node = map.find(key);
  if (node == nullptr) return {};
  if (!node->is_list()) {
    PLUMBLINE_ASSIGN(range.low, node->as<double>(bounds));
    range.high = range.low;
    return {};
  }
  PLUMBLINE_ASSIGN(const std::vector<double> ends, node->as_list<double>(bounds));
  if (ends.size() != 2 || ends[0] > ends[1]) return node->wrong_type("a number, or [smallest, largest]");
  range = {ends[0], ends[1]};
  return {};
}

Result<Format> read_fasta(YamlMap& source) {
  FastaFormat format;
  PLUMBLINE_TRY(
      read_int_range(source, "rows_per_example", {.min = 2, .max = kMaxSequences}, format.min_rows, format.max_rows));
  PLUMBLINE_TRY(source.read("examples_per_file", format.examples_per_file, {.min = 1, .max = 100'000}));
  PLUMBLINE_TRY(source.read("max_residues", format.max_residues, {.min = 1, .max = 100'000}));
  if (const YamlNode* node = source.find("examples_per_file");
      node != nullptr && format.examples_per_file > 1 && format.max_rows == 0)
    return node->error("needs rows_per_example", "The whole alignment is one example; draw rows to make more of it.");
  return Format(format);
}

Result<Format> read_simulate(YamlMap& source) {
  SimulateFormat format;
  const Bounds rate{.min = 0, .max = 1};
  PLUMBLINE_TRY(source.require("examples", format.examples, {.min = 1, .max = kMaxExamples}));
  PLUMBLINE_TRY(read_int_range(source, "sequences", {.min = 2, .max = kMaxSequences}, format.min_sequences,
                               format.max_sequences));
  PLUMBLINE_TRY(source.read_choice("model", format.model, {"WAG", "LG", "JTT", "DAYHOFF"}));
  PLUMBLINE_TRY(source.read("gamma_alpha", format.gamma_alpha, {.above = 0, .max = 1000}));
  PLUMBLINE_TRY(source.read("gamma_categories", format.gamma_categories, {.min = 1, .max = 64}));
  PLUMBLINE_TRY(
      read_int_range(source, "root_length", {.min = 1, .max = 10'000}, format.min_root_length, format.max_root_length));
  PLUMBLINE_TRY(read_range(source, "branch_length", {.above = 0, .max = 100}, format.branch_length));
  PLUMBLINE_TRY(read_range(source, "insertion_rate", rate, format.insertion_rate));
  PLUMBLINE_TRY(read_range(source, "deletion_rate", rate, format.deletion_rate));
  PLUMBLINE_TRY(read_range(source, "zipf_exponent", {.above = 1, .max = 10}, format.zipf_exponent));
  PLUMBLINE_TRY(source.read("max_indel_length", format.max_indel_length, {.min = 1, .max = 1000}));
  PLUMBLINE_TRY(source.read("split_opposite_charges", format.split_opposite_charges, {.min = 0, .max = 1}));
  return Format(format);
}

Result<Format> read_dataset(YamlMap& source) {
  DatasetFormat format;
  PLUMBLINE_TRY(source.read_choice("split", format.split, {kTrainSplit, kHeldOutSplit}));
  PLUMBLINE_TRY(source.read("from_norm", format.norm));
  return Format(std::move(format));
}

}  // namespace

const std::vector<std::string>& format_names() {
  static const std::vector<std::string> names{"jsonl", "dialogues", "tsv", "csv", "fasta", "simulate", "dataset"};
  return names;
}

bool reads_files(const std::string& format) { return format != "simulate"; }

Result<Format> read_format(const std::string& format, YamlMap& source) {
  if (format == "jsonl") return read_jsonl(source);
  if (format == "dialogues") return read_dialogues(source);
  if (format == "tsv") return read_delimited(source, '\t', Quotes::kNone);
  if (format == "csv") return read_delimited(source, ',', Quotes::kRfc4180);
  if (format == "fasta") return read_fasta(source);
  if (format == "dataset") return read_dataset(source);
  return read_simulate(source);
}

}  // namespace plumbline
