#include "coordinator/inspect/text.hpp"

#include <array>

#include "common/core/check.hpp"
#include "common/data/dataset.hpp"
#include "coordinator/inspect/table.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kSampleWidth = 96;  // code points of a source or output that are shown
constexpr std::array<const char*, 2> kSplits{kTrainSplit, kHeldOutSplit};
constexpr std::size_t kHashDigits = 16;  // of a SHA-256

std::string text_of(const Json& json, const char* key) { return json.at(key).get<std::string>(); }
std::string count_of(const Json& json, const char* key) { return format_count(json.at(key).get<std::uint64_t>()); }
std::string number_of(const Json& json, const char* key) { return format_number(json.at(key).get<double>()); }
std::string short_hash(const std::string& hash) {
  return hash.size() > kHashDigits ? hash.substr(0, kHashDigits) + "…" : hash;
}

std::string heading(const std::string& title) { return "\n" + title + "\n"; }
std::string heading(const std::string& title, const Table& table) {
  return table.empty() ? std::string() : heading(title) + table.text();
}

std::string first_line(const char* kind, const std::string& what) { return printable(kind + (" " + what)) + "\n"; }

std::vector<std::string> range_cells(const Json& range) {
  const bool known = range.at("known").get<std::int64_t>() > 0;
  return {count_of(range, "known"), known ? number_of(range, "min") : "", known ? number_of(range, "mean") : "",
          known ? number_of(range, "max") : ""};
}

std::string attributes(const Json& ranges) {
  Table table({"attribute", "known", "min", "mean", "max"});
  for (const auto& [name, range] : ranges.items()) {
    std::vector<std::string> cells{name};
    for (auto& cell : range_cells(range)) cells.push_back(std::move(cell));
    table.add(std::move(cells));
  }
  return heading("Attributes", table);
}

void add_lengths(Table& table, const std::string& split, const Json& lengths) {
  for (const char* side : {"source", "desired", "undesired"})
    if (lengths.contains(side))
      table.add({split, side, count_of(lengths[side], "examples"), count_of(lengths[side], "tokens"),
                 number_of(lengths[side], "mean"), count_of(lengths[side], "longest")});
}

Table lengths_table() { return Table({"split", "side", "examples", "tokens", "mean", "longest"}); }

std::string samples(const Json& rows) {
  if (rows.empty()) return "";
  std::string out = heading("Sample rows");
  for (const auto& row : rows) {
    out += printable("  " + text_of(row, "split") + " row " + std::to_string(row.at("row").get<std::int64_t>()) + ", " +
                     text_of(row, "norm") + ", " + text_of(row, "kind")) +
           "\n";
    for (const char* side : {"source", "desired", "undesired"})
      if (row.contains(side)) {
        const std::string name = side;
        out += "    " + name + std::string(11 - name.size(), ' ') + shorten(text_of(row, side), kSampleWidth) + "\n";
      }
  }
  return out;
}

std::string judge_of(const Json& norm) {
  std::string judge = text_of(norm, "judge");
  if (norm.contains("classifier_accuracy")) judge += " (accuracy " + number_of(norm, "classifier_accuracy") + ")";
  return judge;
}

/// Provenance is curate's to write; a dataset made by other means may lack these counts.
std::string left_out_of(const Json& provenance) {
  const auto left_out = json_get<std::uint64_t>(provenance, "examples_left_out", "");
  const auto read = json_get<std::uint64_t>(provenance, "examples_read", "");
  if (!left_out || !read) return "not recorded";
  return format_count(*left_out) + " of " + format_count(*read) + " examples (README.md says why)";
}

std::string dataset_text(const Json& json) {
  std::string out = first_line("Dataset", text_of(json, "name") + " at " + text_of(json, "path"));
  out += format_fields({{"tokenizer", text_of(json, "tokenizer") + ", " + count_of(json, "vocab_size") + " ids"},
                        {"content hash", text_of(json, "content_hash")},
                        {"left out", left_out_of(json.at("provenance"))},
                        {"checked", "the SHA-256 of every shard"}});
  Table norms(
      {"norm", "objective", "weight", "judge", "split", "examples", "demonstrations", "preferences", "prohibitions"});
  for (const auto& norm : json.at("norms"))
    for (const char* split : kSplits) {
      const Json& counts = norm.at("counts").at(split);
      norms.add({text_of(norm, "name"), text_of(norm, "objective"), number_of(norm, "weight"), judge_of(norm), split,
                 count_of(counts, "examples"), count_of(counts, "demonstrations"), count_of(counts, "preferences"),
                 count_of(counts, "prohibitions")});
    }
  Table lengths = lengths_table();
  for (const char* split : kSplits) add_lengths(lengths, split, json.at("splits").at(split).at("lengths"));
  Table shards({"shard", "split", "examples", "size", "sha256"});
  for (const auto& shard : json.at("shards"))
    shards.add({text_of(shard, "file"), text_of(shard, "split"), count_of(shard, "examples"),
                format_bytes(shard.at("bytes").get<std::uint64_t>()), short_hash(text_of(shard, "sha256"))});
  return out + heading("Norms", norms) + heading("Lengths in tokens, end of sequence included", lengths) +
         attributes(json.at("attributes")) + heading("Shards", shards) + samples(json.at("rows"));
}

std::string shard_text(const Json& json) {
  std::string out = first_line("Shard", text_of(json, "path"));
  out += format_fields({{"split", text_of(json, "split")},
                        {"examples", count_of(json.at("counts"), "examples")},
                        {"tokenizer", text_of(json, "tokenizer") + ", " + count_of(json, "vocab_size") + " ids"},
                        {"size", format_bytes(json.at("bytes").get<std::uint64_t>())},
                        {"checked", json.at("listed").get<bool>() ? "its checksum, and its SHA-256 in dataset.json"
                                                                  : "its checksum (no dataset.json lists it)"}});
  Table norms({"norm", "examples", "demonstrations", "preferences", "prohibitions"});
  for (const auto& norm : json.at("norms")) {
    const Json& counts = norm.at("counts");
    norms.add({text_of(norm, "name"), count_of(counts, "examples"), count_of(counts, "demonstrations"),
               count_of(counts, "preferences"), count_of(counts, "prohibitions")});
  }
  Table lengths = lengths_table();
  add_lengths(lengths, text_of(json, "split"), json.at("lengths"));
  return out + heading("Norms", norms) + heading("Lengths in tokens, end of sequence included", lengths) +
         attributes(json.at("attributes")) + samples(json.at("rows"));
}

Table tensor_table(const Json& tensors) {
  Table table({"tensor", "dtype", "shape"});
  for (const auto& tensor : tensors) {
    std::string shape;
    for (const auto& size : tensor.at("shape")) shape += (shape.empty() ? "" : " × ") + to_line(size);
    table.add({text_of(tensor, "name"), text_of(tensor, "dtype"), shape});
  }
  return table;
}

/// "rank 8, alpha 16, dropout 0, beside q, v: 98,304 parameters"
std::string adapter_line(const Json& json) {
  std::string targets;
  for (const auto& target : json.at("targets")) targets += (targets.empty() ? "" : ", ") + target.get<std::string>();
  return "rank " + count_of(json, "rank") + ", alpha " + number_of(json, "alpha") + ", dropout " +
         number_of(json, "dropout") + ", beside " + targets + ": " + count_of(json, "parameters") + " parameters";
}

std::string adapter_text(const Json& json) {
  return first_line("Adapter", text_of(json, "path")) +
         format_fields({{"adapter", adapter_line(json)}, {"checked", "the header of its tensors"}}) +
         heading("Tensors", tensor_table(json.at("tensors")));
}

std::string checkpoint_text(const Json& json) {
  const bool vouched = text_of(json, "kind") == "checkpoint";
  std::string out = first_line(vouched ? "Checkpoint" : "Model", text_of(json, "path"));
  std::vector<std::pair<std::string, std::string>> fields{{"parameters", count_of(json, "parameters")}};
  if (vouched) {
    fields.insert(fields.begin(),
                  {{"step", count_of(json, "step")}, {"seed", std::to_string(json.at("seed").get<std::uint64_t>())}});
    fields.emplace_back("weights", text_of(json, "weights_sha256"));
    if (json.contains("adapter")) {
      fields.emplace_back("adapter", adapter_line(json.at("adapter")));
      fields.emplace_back("merged into", text_of(json, "base_sha256"));
    }
    fields.emplace_back("dataset", text_of(json, "dataset_hash"));
    fields.emplace_back("tokenizer", text_of(json, "tokenizer"));
    fields.emplace_back("fingerprint", text_of(json, "fingerprint"));
  }
  fields.emplace_back("checked", vouched ? "the size and SHA-256 of every file"
                                         : "the header of the weights (there is no MANIFEST.json)");
  out += format_fields(fields);
  std::vector<std::pair<std::string, std::string>> config;
  for (const auto& [key, value] : json.at("config").items())
    config.emplace_back(printable(key), value.is_string() ? value.get<std::string>() : to_line(value));
  Table files({"file", "size", "sha256"});
  if (vouched)
    for (const auto& file : json.at("files"))
      files.add({text_of(file, "name"), format_bytes(file.at("bytes").get<std::uint64_t>()),
                 short_hash(text_of(file, "sha256"))});
  return out + heading("config.json") + format_fields(config) + heading("Tensors", tensor_table(json.at("tensors"))) +
         heading("Files", files);
}

std::string snapshot_text(const Json& json) {
  std::string out = first_line("Snapshot", json.contains("path") ? text_of(json, "path") : "");
  out += format_fields({{"step", count_of(json, "step")},
                        {"rows", count_of(json, "rows")},
                        {"dimension", count_of(json, "dimension")},
                        {"pooling", text_of(json, "pooling")}});
  Table lengths({"rows", "min", "mean", "max"});
  lengths.add(range_cells(json.at("vector_length")));
  Table norms({"norm index", "rows"});
  for (const auto& norm : json.at("norms")) norms.add({count_of(norm, "index"), count_of(norm, "rows")});
  return out + heading("Euclidean length of the vectors", lengths) + heading("Norms", norms) +
         attributes(json.at("attributes"));
}

std::string state_of(const Json& json) {
  const std::string state = text_of(json, "state");
  return state == "open" ? "open: running, or cut off (`plumbline status` tells which)" : state;
}

/// A metrics line without what stands elsewhere, its norms as rows.
std::string metrics_text(const std::string& kind, const Json& line) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const auto& [key, value] : line.items())
    if (value.is_primitive() && key != "kind")
      fields.emplace_back(printable(key), value.is_string()           ? value.get<std::string>()
                                          : value.is_number_integer() ? to_line(value)
                                          : value.is_number()         ? format_number(value.get<double>())
                                                                      : to_line(value));
  Table norms({"norm", "metric", "value"});
  if (line.contains("norms") && line["norms"].is_object())
    for (const auto& [norm, values] : line["norms"].items())
      for (const auto& [name, value] : values.items())
        if (value.is_number()) norms.add({norm, name, format_number(value.get<double>())});
  return heading("Newest metrics, " + printable(kind)) + format_fields(fields) + (norms.empty() ? "" : norms.text());
}

std::string run_text(const Json& json) {
  std::string out = first_line("Run", text_of(json, "name") + " at " + text_of(json, "path"));
  std::vector<std::pair<std::string, std::string>> fields{
      {"state", state_of(json)},
      {"step", count_of(json, "step") + " of " + count_of(json, "steps")},
      {"data", text_of(json.at("config"), "data")},
      {"generation", count_of(json, "generation")},
      {"events", count_of(json, "events")}};
  if (json.contains("last_event"))
    fields.emplace_back("last event",
                        text_of(json["last_event"], "event") + " at " + text_of(json["last_event"], "time"));
  if (const std::string print = text_of(json, "fingerprint"); !print.empty()) fields.emplace_back("fingerprint", print);
  if (json.contains("report")) fields.emplace_back("report", text_of(json, "report"));
  out += format_fields(fields);
  Table checkpoints({"step", "checkpoint", "weights"});
  for (const auto& c : json.at("checkpoints"))
    checkpoints.add({count_of(c, "step"), text_of(c, "path"),
                     c.contains("weights_sha256") ? short_hash(text_of(c, "weights_sha256")) : "(no sound manifest)"});
  Table snapshots({"step", "snapshot"});
  for (const auto& s : json.at("snapshots")) snapshots.add({count_of(s, "step"), text_of(s, "path")});
  out += heading("Checkpoints", checkpoints) + heading("Snapshots", snapshots);
  for (const auto& [kind, line] : json.at("metrics").items()) out += metrics_text(kind, line);
  return out;
}

}  // namespace

std::string to_text(const Json& description) {
  const std::string kind = text_of(description, "kind");
  if (kind == "dataset") return dataset_text(description);
  if (kind == "shard") return shard_text(description);
  if (kind == "checkpoint" || kind == "model") return checkpoint_text(description);
  if (kind == "adapter") return adapter_text(description);
  if (kind == "snapshot") return snapshot_text(description);
  PLUMBLINE_CHECK(kind == "run", "describe() gives no other kind");
  return run_text(description);
}

}  // namespace plumbline
