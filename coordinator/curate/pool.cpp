#include "coordinator/curate/pool.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "common/core/files.hpp"
#include "common/data/dataset.hpp"
#include "coordinator/curate/example_check.hpp"
#include "coordinator/curate/importer.hpp"
#include "coordinator/curate/simulation.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace plumbline {

namespace {

namespace fs = std::filesystem;

/// Checks what an importer hands over and puts it into the pool.
class PoolSink final : public ImportSink {
 public:
  PoolSink(const ExampleCheck& check, const Recipe& recipe, std::uint32_t source, Pool& pool)
      : check_(check), norm_(recipe.sources[source].norm), name_(recipe.norms[norm_].norm.name), pool_(pool) {
    place_.source = source;
  }
  void next_file() { ++place_.file; }

  Status take(Imported imported) override {
    place_.line = imported.line;
    ++pool_.read;
    if (const auto reason = check_.refuse(imported, norm_)) {
      pool_.left_out.add(*reason, place_);
      return {};
    }
    if (pool_.examples.size() == kMaxExamples)
      return data_error("the recipe's sources hold more than " + std::to_string(kMaxExamples) + " examples", "",
                        "Make several datasets of them.");
    for (const Reason remark : check_.remarks(imported, norm_)) pool_.left_out.add(remark, place_);
    pool_.examples.push_back(pooled(std::move(imported)));
    return {};
  }
  void leave_out(Reason reason, std::int64_t line) override {
    place_.line = line;
    pool_.read += is_about_a_row(reason) ? 0 : 1;
    pool_.left_out.add(reason, place_);
  }

 private:
  PooledExample pooled(Imported imported) const {
    PooledExample pooled;
    pooled.place = place_;
    pooled.norm = static_cast<std::uint16_t>(norm_);
    pooled.group = std::move(imported.group);
    Example& example = pooled.example;
    example.norm = name_;
    example.weight = imported.weight;
    example.attributes = std::move(imported.attributes);
    example.source = std::move(imported.source);
    const bool has_desired = imported.desired.has_value(), has_undesired = imported.undesired.has_value();
    if (has_desired) example.desired = std::move(*imported.desired);
    if (has_undesired) example.undesired = std::move(*imported.undesired);
    finish(example, has_desired, has_undesired);
    return pooled;
  }

  const ExampleCheck& check_;
  std::size_t norm_;
  std::string name_;
  Pool& pool_;
  Place place_;
};

/// The file itself, or the files of a folder by name.
Result<std::vector<fs::path>> files_of(const SourceRecipe& source, const fs::path& path) {
  std::error_code ec;
  const std::string hint = "Give its place on the command line: --source " + source.name + "=PATH.";
  if (!fs::exists(path, ec))
    return data_error("source " + source.name + ": there is no such file or folder", path.string(), hint);
  if (!fs::is_directory(path, ec)) return std::vector<fs::path>{path};
  std::vector<fs::path> files;
  for (fs::directory_iterator it(path, ec), end; !ec && it != end; it.increment(ec))
    if (std::error_code other; it->is_regular_file(other) && !it->path().filename().string().starts_with('.'))
      files.push_back(it->path());
  if (ec) return data_error("the folder cannot be read: " + ec.message(), path.string());
  if (files.empty()) return data_error("source " + source.name + ": the folder holds no file", path.string(), hint);
  std::sort(files.begin(), files.end());
  return files;
}

/// Files that go when they are read, as a simulation's do.
class Scratch {
 public:
  explicit Scratch(fs::path file) : file_(std::move(file)) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    fs::remove(file_, ignored);
  }
  [[nodiscard]] const fs::path& file() const { return file_; }

 private:
  fs::path file_;
};

Status read_files(const SourceRecipe& source, const Importer& importer, const std::vector<fs::path>& files,
                  PoolSink& sink, std::vector<SourceFile>& provenance) {
  for (const fs::path& file : files) {
    PLUMBLINE_ASSIGN(LineReader lines, LineReader::open(file));
    PLUMBLINE_TRY(importer.read(lines, sink));
    PLUMBLINE_ASSIGN(std::string sha256, sha256_file(file));
    provenance.push_back({source.reads_files() ? file.filename().string() : "simulated", std::move(sha256)});
    sink.next_file();
  }
  return {};
}

/// The examples of one norm and split of a dataset that was curated before; a line is a row's number, from 1.
Status read_dataset(const DatasetFormat& format, const fs::path& folder, const std::string& norm_here, PoolSink& sink,
                    std::vector<SourceFile>& provenance) {
  PLUMBLINE_ASSIGN(const Dataset dataset, Dataset::open(folder));
  const std::string name = format.norm.empty() ? norm_here : format.norm;
  const auto& norms = dataset.info().norms;
  const auto norm = std::find_if(norms.begin(), norms.end(), [&](const Norm& n) { return n.name == name; });
  if (norm == norms.end())
    return data_error("the dataset has no norm " + name, folder.string(),
                      "from_norm in the recipe says which of its norms is meant.");
  const Split& split = format.split == kTrainSplit ? dataset.train() : dataset.held_out();
  for (std::int64_t row = 0; row < split.size(); ++row) {
    if (split.norm(row) != static_cast<std::size_t>(norm - norms.begin())) continue;
    const auto text = [&](Side side) { return text_of(dataset.tokenizer(), split.tokens(row, side)); };
    Imported example;
    example.line = row + 1;
    example.source = text(Side::kSource);
    if (split.kind(row) != ExampleKind::kProhibition) example.desired = text(Side::kDesired);
    if (split.kind(row) != ExampleKind::kDemonstration) example.undesired = text(Side::kUndesired);
    example.weight = split.weight(row);
    const auto place = split.at(row);
    for (const std::string& attribute : place.shard->attribute_names()) {
      const float value = place.shard->attribute(place.row, attribute);
      if (std::isfinite(value)) example.attributes[attribute] = value;
    }
    PLUMBLINE_TRY(sink.take(std::move(example)));
  }
  provenance.push_back({"dataset " + dataset.info().name + ", " + format.split, dataset.content_hash()});
  sink.next_file();
  return {};
}

}  // namespace

Result<Pool> read_sources(const Recipe& recipe, const Tokenizer& tokenizer,
                          const std::map<std::string, fs::path>& paths, const fs::path& scratch) {
  Pool pool;
  PLUMBLINE_ASSIGN(const ExampleCheck check, ExampleCheck::make(recipe, tokenizer));
  for (std::uint32_t i = 0; i < recipe.sources.size(); ++i) {
    const SourceRecipe& source = recipe.sources[i];
    // Sources draw apart from each other, whatever their order.
    const std::uint64_t seed = XXH3_64bits_withSeed(source.name.data(), source.name.size(), recipe.seed);
    const Norm& norm = recipe.norms[source.norm].norm;
    PoolSink sink(check, recipe, i, pool);
    const std::int64_t before = pool.read;
    pool.files.emplace_back();
    const auto given = paths.find(source.name);
    const fs::path& path = given == paths.end() ? source.path : given->second;
    if (const auto* simulation = std::get_if<SimulateFormat>(&source.format)) {
      const Scratch out(scratch / (source.name + ".jsonl"));
      spdlog::info("source {}: simulating {} alignments", source.name, simulation->examples);
      PLUMBLINE_TRY(simulate(simulation_parameters(*simulation, seed), out.file()));
      PLUMBLINE_TRY(read_files(source, *make_importer(source, norm, seed), {out.file()}, sink, pool.files.back()));
    } else if (const auto* dataset = std::get_if<DatasetFormat>(&source.format)) {
      PLUMBLINE_TRY(read_dataset(*dataset, path, norm.name, sink, pool.files.back()));
    } else {
      PLUMBLINE_ASSIGN(const auto files, files_of(source, path));
      PLUMBLINE_TRY(read_files(source, *make_importer(source, norm, seed), files, sink, pool.files.back()));
    }
    spdlog::info("source {}: read {} examples", source.name, pool.read - before);
  }
  return pool;
}

namespace {

/// Labels that an output of a source was given.
struct Labels {
  bool desired = false, undesired = false;
};
struct OutputKey {
  std::uint64_t high, low;
  bool operator==(const OutputKey&) const = default;
};
struct OutputKeyHash {
  std::size_t operator()(const OutputKey& key) const noexcept { return key.low; }
};

OutputKey output_key(const PooledExample& pooled, const std::string& output) {
  const std::string& source = pooled.example.source;
  const XXH128_hash_t of_source = XXH3_128bits_withSeed(source.data(), source.size(), pooled.norm);
  const XXH128_hash_t of_output = XXH3_128bits_withSeed(output.data(), output.size(), of_source.low64);
  return {of_source.high64 ^ of_output.high64, of_output.low64};
}

}  // namespace

void remove_duplicates_and_contradictions(Pool& pool) {
  const auto has_desired = [](const PooledExample& p) { return p.example.kind != ExampleKind::kProhibition; };
  const auto has_undesired = [](const PooledExample& p) { return p.example.kind != ExampleKind::kDemonstration; };
  std::unordered_map<OutputKey, Labels, OutputKeyHash> labels;
  std::unordered_map<OutputKey, bool, OutputKeyHash> seen;
  std::erase_if(pool.examples, [&](const PooledExample& pooled) {
    if (seen.emplace(OutputKey{pooled.example.id.high, pooled.example.id.low}, true).second) {
      if (has_desired(pooled)) labels[output_key(pooled, pooled.example.desired)].desired = true;
      if (has_undesired(pooled)) labels[output_key(pooled, pooled.example.undesired)].undesired = true;
      return false;
    }
    pool.left_out.add(Reason::kDuplicate, pooled.place);
    return true;
  });
  const auto contradicted = [&](const PooledExample& pooled, const std::string& output) {
    const Labels found = labels.at(output_key(pooled, output));
    return found.desired && found.undesired;
  };
  std::erase_if(pool.examples, [&](const PooledExample& pooled) {
    const bool opposed = (has_desired(pooled) && contradicted(pooled, pooled.example.desired)) ||
                         (has_undesired(pooled) && contradicted(pooled, pooled.example.undesired));
    if (opposed) pool.left_out.add(Reason::kOpposingLabels, pooled.place);
    return opposed;
  });
}

}  // namespace plumbline
