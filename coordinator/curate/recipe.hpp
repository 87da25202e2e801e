// A recipe: what `plumbline curate` reads. It names the norms of a dataset and the files whose examples state them.
// YAML becomes these structs once, here; every error is a usage error that names file:line and key.
// docs/writing-norms.md explains each key.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/core/result.hpp"
#include "common/text/norm.hpp"

namespace plumbline {

/// Inclusive bounds from which a number is drawn.
struct Range {
  double low = 0, high = 0;
};

/// Lines of JSON. An empty key is not read.
struct JsonlFormat {
  std::string source = "source", desired = "desired", undesired = "undesired";
  std::string weight = "weight", group = "group", attributes = "attributes";
};

/// Lines of JSON with two whole dialogues, split at the last turn that both share (Anthropic's HH data).
struct DialoguesFormat {
  std::string desired = "chosen", undesired = "rejected";
};

enum class Quotes {
  kNone,     ///< a quote is a letter like any other
  kLine,     ///< a quoted cell ends on its line
  kRfc4180,  ///< a quoted cell may hold line breaks
};

/// Tab- or comma-separated values with a header line.
struct DelimitedFormat {
  char delimiter = '\t';
  Quotes quotes = Quotes::kNone;
  std::vector<std::string> header;  ///< names of the columns of a file without a header line; else empty
  std::string source;
  std::vector<std::string> desired, undesired;  ///< every pairing of non-empty cells is one example
  std::string weight, group;                    ///< empty: no such column
  std::vector<std::string> attributes;
};

/// Aligned FASTA, one alignment a file.
struct FastaFormat {
  int min_rows = 0, max_rows = 0;  ///< rows drawn for an example; 0: the whole alignment
  int examples_per_file = 1;
  int max_residues = 100'000;  ///< a longer row takes no part
};

/// Simulated evolution along a random tree (msasim): the true alignment is known.
struct SimulateFormat {
  int examples = 0;
  int min_sequences = 2, max_sequences = 2;
  std::string model = "WAG";
  double gamma_alpha = 1.0;
  int gamma_categories = 4;
  int min_root_length = 32, max_root_length = 44;
  Range branch_length{0.5, 1.0}, insertion_rate{0.0, 0.05}, deletion_rate{0.0, 0.05}, zipf_exponent{1.01, 2.0};
  int max_indel_length = 50;
  /// Share of the columns with residues of opposite charge that are written as two columns with gaps: not the true
  /// alignment then, but one by an aligner with that habit.
  double split_opposite_charges = 0;
};

/// Examples of a dataset that was curated before.
struct DatasetFormat {
  std::string split = "train";  ///< train or heldout
  std::string norm;             ///< the dataset's name for the norm; empty: as here
};

using Format = std::variant<JsonlFormat, DialoguesFormat, DelimitedFormat, FastaFormat, SimulateFormat, DatasetFormat>;

/// Where a source's examples may go.
enum class SourcePart {
  kAny,      ///< by the recipe's shares
  kTrain,    ///< never held out; one that is a near copy of a held-out example is left out
  kHeldOut,  ///< always held out
};

struct SourceRecipe {
  std::string name;
  std::size_t norm = 0;        ///< index into Recipe::norms
  std::string format_name;     ///< as written: jsonl, dialogues, tsv, csv, fasta, simulate, dataset
  std::filesystem::path path;  ///< file or folder, beside the recipe when relative; empty for simulate
  std::string description, license;
  SourcePart part = SourcePart::kAny;
  Format format;
  /// Whether the examples come from files, not from a simulation.
  [[nodiscard]] bool reads_files() const { return !std::holds_alternative<SimulateFormat>(format); }
};

struct NormRecipe {
  Norm norm;
  /// Judge "classifier": shares of the norm's examples that train it and that measure it; neither trains or tests the
  /// model.
  double judge_train = 0.2, judge_held_out = 0.05;
  /// Judge "classifier": the dataset whose classifier judges here too; empty: one is trained.
  std::filesystem::path judge_from;
  /// Whether letter case, white space and punctuation mean nothing here: a pair that differs in them alone is left out.
  bool ignore_form = false;
};

/// The tokenizer "sentencepiece": T5's conventions, with the pieces of a file.
struct SentencePieceRecipe {
  std::filesystem::path file;  ///< beside the recipe when relative
  int extra_ids = 100;
};

struct Recipe {
  std::string name, description;
  std::optional<SentencePieceRecipe> sentencepiece;  ///< absent: the tokenizer is "byte"
  std::uint64_t seed = 1;
  double held_out = 0.1;        ///< share of every norm's examples that evaluates the model
  double near_duplicate = 0.8;  ///< sources at least this alike (Jaccard index of shingles) share a split
  int shingle_characters = 5;   ///< length of a shingle
  std::optional<int> max_source_tokens, max_output_tokens;  ///< an example with more is left out
  int shard_examples = 20'000;                              ///< most examples of one shard
  std::vector<NormRecipe> norms;                            ///< in the order of the file
  std::vector<SourceRecipe> sources;
  std::string text;  ///< the file, for the dataset's provenance
};

Result<Recipe> load_recipe(const std::filesystem::path& file);
/// `where` stands for the file name in errors; `folder` is what relative paths start from.
Result<Recipe> parse_recipe(const std::string& yaml, const std::string& where, const std::filesystem::path& folder);

}  // namespace plumbline
