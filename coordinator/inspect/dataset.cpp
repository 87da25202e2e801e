#include <algorithm>
#include <optional>
#include <system_error>

#include "common/core/files.hpp"
#include "coordinator/inspect/describe.hpp"
#include "coordinator/inspect/rows.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

std::uint64_t bytes_of(const fs::path& file) {
  std::error_code ec;
  const auto bytes = fs::file_size(file, ec);
  return ec ? 0 : bytes;
}

struct NamedSplit {
  std::string name;
  Places places;
};

/// The samples of the splits that `options` asks for; as many of each split.
Json sample(const std::vector<NamedSplit>& splits, const std::optional<std::uint16_t>& norm,
            const InspectOptions& options, const Tokenizer* tokenizer, const NormName& norm_name) {
  Json rows = Json::array();
  for (const auto& [name, places] : splits) {
    if (!options.split.empty() && options.split != name) continue;
    std::vector<std::size_t> matching;
    for (std::size_t i = 0; i < places.size(); ++i)
      if (!norm.has_value() || places[i].shard->norm(places[i].row) == *norm) matching.push_back(i);
    for (const std::size_t chosen : spread(matching.size(), options.rows)) {
      const std::size_t i = matching[chosen];
      Json row = show_row(places[i], static_cast<std::int64_t>(i), tokenizer, norm_name);
      row["split"] = name;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

/// The index of the norm called `name`; nullopt for an empty name.
Result<std::optional<std::uint16_t>> find_norm(const std::vector<Norm>& norms, const std::string& name) {
  if (name.empty()) return std::optional<std::uint16_t>();
  std::string known;
  for (std::size_t i = 0; i < norms.size(); ++i) {
    if (norms[i].name == name) return std::optional(static_cast<std::uint16_t>(i));
    known += (known.empty() ? "" : ", ") + norms[i].name;
  }
  return usage_error("there is no norm \"" + name + "\" here", "--norm",
                     known.empty() ? "The norms have no names without the dataset.json of their folder."
                                   : "The norms are: " + known + ".");
}

Status check_split(const std::string& name) {
  if (name.empty() || name == kTrainSplit || name == kHeldOutSplit) return {};
  return usage_error("there is no split \"" + name + "\"", "--split",
                     std::string("The splits are ") + kTrainSplit + " and " + kHeldOutSplit + ".");
}

Json describe_norm(const Norm& norm) {
  Json json = to_json(norm);
  if (norm.judge != JudgeKind::kClassifier) json.erase("classifier_accuracy");
  return json;
}

/// dataset.json of the folder that holds `file`, when it lists the file.
std::optional<DatasetInfo> dataset_around(const fs::path& file) {
  const fs::path json_file = fs::absolute(file).parent_path() / "dataset.json";
  const auto json = read_json_file(json_file);
  if (json.has_error()) return std::nullopt;
  auto info = dataset_info_from_json(*json, json_file.string());
  if (info.has_error()) return std::nullopt;
  const auto& shards = info->shards;
  const bool listed = std::any_of(shards.begin(), shards.end(),
                                  [&](const ShardEntry& shard) { return shard.file == file.filename().string(); });
  return listed ? std::optional(std::move(*info)) : std::nullopt;
}

Status check_listed_hash(const fs::path& file, const DatasetInfo& info) {
  for (const auto& shard : info.shards) {
    if (shard.file != file.filename().string()) continue;
    PLUMBLINE_ASSIGN(const std::string hash, sha256_file(file));
    if (hash != shard.sha256)
      return data_error("the shard is not the one that dataset.json beside it lists: its SHA-256 differs",
                        file.string(), "Use an intact copy, or make the dataset again with `plumbline curate`.");
  }
  return {};
}

/// Null where the tokenizer's file is the dataset's and there is no dataset.json to name it: rows are shown as ids
/// then.
Result<std::unique_ptr<Tokenizer>> tokenizer_of(const ShardReader& shard, const std::optional<DatasetInfo>& info,
                                                const fs::path& folder) {
  if (info.has_value()) return dataset_tokenizer(*info, folder);
  if (shard.header().tokenizer == "sentencepiece") return std::unique_ptr<Tokenizer>();
  return make_tokenizer(shard.header().tokenizer);
}

}  // namespace

Result<Json> describe_dataset(const Dataset& dataset, const InspectOptions& options) {
  const DatasetInfo& info = dataset.info();
  PLUMBLINE_TRY(check_split(options.split));
  PLUMBLINE_ASSIGN(const auto norm, find_norm(info.norms, options.norm));
  const std::vector<NamedSplit> splits{{kTrainSplit, places_of(dataset.train())},
                                       {kHeldOutSplit, places_of(dataset.held_out())}};
  Json json = to_json(info);
  json["kind"] = "dataset";
  json["path"] = dataset.folder().string();
  json["content_hash"] = dataset.content_hash();
  json["norms"] = Json::array();
  for (std::size_t i = 0; i < info.norms.size(); ++i) {
    Json entry = describe_norm(info.norms[i]);
    for (const auto& [name, places] : splits)
      entry["counts"][name] = count_kinds(of_norm(places, static_cast<std::uint16_t>(i)));
    json["norms"].push_back(std::move(entry));
  }
  for (const auto& [name, places] : splits)
    json["splits"][name] = {{"examples", places.size()}, {"lengths", measure_lengths(places)}};
  Places all = splits[0].places;
  all.insert(all.end(), splits[1].places.begin(), splits[1].places.end());
  json["attributes"] = measure_attributes(all);
  for (std::size_t i = 0; i < info.shards.size(); ++i)
    json["shards"][i]["bytes"] = bytes_of(dataset.folder() / info.shards[i].file);
  json["rows"] =
      sample(splits, norm, options, &dataset.tokenizer(), [&](std::uint16_t i) { return info.norms.at(i).name; });
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

Result<Json> describe_shard(const fs::path& file, const InspectOptions& options) {
  PLUMBLINE_TRY(check_split(options.split));
  PLUMBLINE_ASSIGN(const ShardReader shard, ShardReader::open(file));
  const std::optional<DatasetInfo> info = dataset_around(file);
  if (info.has_value()) PLUMBLINE_TRY(check_listed_hash(file, *info));
  const std::vector<Norm> norms = info.has_value() ? info->norms : std::vector<Norm>();
  PLUMBLINE_ASSIGN(const auto norm, find_norm(norms, options.norm));
  PLUMBLINE_ASSIGN(const auto tokenizer, tokenizer_of(shard, info, file.parent_path()));
  const NormName norm_name = [&](std::uint16_t i) { return i < norms.size() ? norms[i].name : std::to_string(i); };
  const NamedSplit split{shard.header().split, places_of(shard)};
  Json json{{"kind", "shard"},
            {"path", file.string()},
            {"tokenizer", shard.header().tokenizer},
            {"vocab_size", shard.header().vocab_size},
            {"split", split.name},
            {"bytes", bytes_of(file)},
            {"counts", count_kinds(split.places)},
            {"lengths", measure_lengths(split.places)},
            {"attributes", measure_attributes(split.places)},
            {"listed", info.has_value()},
            {"norms", Json::array()}};
  std::map<std::uint16_t, Places> by_norm;
  for (const auto& place : split.places) by_norm[shard.norm(place.row)].push_back(place);
  for (const auto& [index, places] : by_norm)
    json["norms"].push_back({{"index", index}, {"name", norm_name(index)}, {"counts", count_kinds(places)}});
  json["rows"] = sample({split}, norm, options, tokenizer.get(), norm_name);
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

}  // namespace plumbline
