#include "common/data/dataset.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <system_error>

#include "common/core/check.hpp"
#include "common/core/files.hpp"

namespace plumbline {

namespace {

constexpr const char* kInfoFile = "dataset.json";
constexpr std::size_t kMaxNorms = 65536;  // what a shard's uint16 can name
constexpr std::size_t kMaxShards = 100'000;
constexpr const char* kCurateAgain = "Make the dataset again with `plumbline curate`.";

/// A name within the folder and nothing else.
bool plain_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

bool sha256_like(std::string_view hash) {
  return hash.size() == 64 && hash.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// The member `key`, a list of at most `limit` elements. Lives as long as `json`.
Result<const Json*> list_of(const Json& json, const char* key, std::size_t limit, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end()) return data_error(std::string("the key \"") + key + "\" is missing", where);
  if (!found->is_array() || found->size() > limit)
    return data_error(std::string("the key \"") + key + "\" is not a list of at most " + std::to_string(limit), where);
  return &*found;
}

Result<ShardEntry> shard_from_json(const Json& json, const std::string& where) {
  ShardEntry shard;
  PLUMBLINE_ASSIGN(shard.file, json_get<std::string>(json, "file", where));
  PLUMBLINE_ASSIGN(shard.split, json_get<std::string>(json, "split", where));
  PLUMBLINE_ASSIGN(shard.examples, json_get<std::int64_t>(json, "examples", where));
  PLUMBLINE_ASSIGN(shard.sha256, json_get<std::string>(json, "sha256", where));
  if (!plain_file_name(shard.file))
    return data_error("the shard's file \"" + shard.file + "\" is not a plain file name", where);
  if (shard.split != kTrainSplit && shard.split != kHeldOutSplit)
    return data_error("the shard's split \"" + shard.split + "\" is neither train nor heldout", where);
  if (shard.examples < 0) return data_error("the shard's examples are fewer than none", where);
  if (!sha256_like(shard.sha256)) return data_error("the shard's sha256 is not 64 hexadecimal digits", where);
  return shard;
}

/// The schema version and the tokenizer say whether the rest can be understood, so they are looked at first.
Status check_version(const Json& json, const std::string& where) {
  PLUMBLINE_ASSIGN(const int version, json_get<int>(json, "schema_version", where));
  if (version > kDatasetSchemaVersion)
    return data_error("the dataset has schema version " + std::to_string(version) + ", newer than this program's " +
                          std::to_string(kDatasetSchemaVersion),
                      where, "Use a newer Plumbline, or make the dataset again with this one's `plumbline curate`.");
  if (version < 1) return data_error("the schema version " + std::to_string(version) + " does not exist", where);
  return {};
}

/// What the tokenizer "sentencepiece" needs, and no other has.
Result<std::optional<SentencePieceEntry>> sentencepiece_from_json(const Json& json, const std::string& tokenizer,
                                                                  const std::string& where) {
  const auto found = json.find("sentencepiece");
  if ((tokenizer == "sentencepiece") != (found != json.end()))
    return data_error(found == json.end()
                          ? "the key \"sentencepiece\" is missing, which says where the tokenizer's file is"
                          : "the key \"sentencepiece\" belongs to the tokenizer of that name",
                      where);
  if (found == json.end()) return std::optional<SentencePieceEntry>();
  SentencePieceEntry entry;
  const std::string place = where + ": sentencepiece";
  PLUMBLINE_ASSIGN(entry.file, json_get<std::string>(*found, "file", place));
  PLUMBLINE_ASSIGN(entry.extra_ids, json_get<int>(*found, "extra_ids", place));
  PLUMBLINE_ASSIGN(entry.sha256, json_get<std::string>(*found, "sha256", place));
  if (!plain_file_name(entry.file))
    return data_error("the tokenizer's file \"" + entry.file + "\" is not a plain file name", place);
  if (entry.extra_ids < 0 || entry.extra_ids > kMaxExtraIds)
    return data_error("extra_ids is not between 0 and " + std::to_string(kMaxExtraIds), place);
  if (!sha256_like(entry.sha256)) return data_error("the sha256 is not 64 hexadecimal digits", place);
  return std::optional(std::move(entry));
}

Result<std::unique_ptr<Tokenizer>> open_sentencepiece(const SentencePieceEntry& entry,
                                                      const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / entry.file;
  std::error_code ec;
  if (!std::filesystem::is_regular_file(file, ec))
    return data_error("the tokenizer's file is missing", file.string(), kCurateAgain);
  PLUMBLINE_ASSIGN(const std::string hash, sha256_file(file));
  if (hash != entry.sha256)
    return data_error("the tokenizer's file is not the one that the dataset was made with: its SHA-256 is " +
                          hash.substr(0, 12) + "…, dataset.json has " + entry.sha256.substr(0, 12) + "…",
                      file.string(), std::string("Use an intact copy. ") + kCurateAgain);
  return load_sentencepiece(file, entry.extra_ids);
}

Status check_vocabulary(const Tokenizer& tokenizer, const DatasetInfo& info, const std::string& where) {
  if (tokenizer.vocab_size() == info.vocab_size) return {};
  return data_error("the dataset's tokenizer \"" + info.tokenizer + "\" has a vocabulary of " +
                        std::to_string(tokenizer.vocab_size()) + " ids, but vocab_size is " +
                        std::to_string(info.vocab_size),
                    where, kCurateAgain);
}

std::string content_hash_of(const DatasetInfo& info) {
  Json norms = Json::array(), shards = Json::array();
  for (const auto& norm : info.norms) norms.push_back(to_json(norm));
  for (const auto& shard : info.shards) shards.push_back({{"sha256", shard.sha256}, {"split", shard.split}});
  Json content{{"schema_version", kDatasetSchemaVersion},
               {"tokenizer", info.tokenizer},
               {"vocab_size", info.vocab_size},
               {"norms", std::move(norms)},
               {"shards", std::move(shards)}};
  if (info.sentencepiece)
    content["sentencepiece"] = {{"extra_ids", info.sentencepiece->extra_ids}, {"sha256", info.sentencepiece->sha256}};
  return sha256_hex(content.dump());
}

/// What dataset.json says of a shard against the shard itself.
Status check_shard(const ShardReader& shard, const ShardEntry& entry, const DatasetInfo& info,
                   const std::string& where) {
  const auto disagree = [&](const std::string& what) {
    return data_error("the shard and dataset.json disagree about " + what, where, kCurateAgain);
  };
  if (shard.size() != entry.examples)
    return disagree("the number of examples: " + std::to_string(shard.size()) + " and " +
                    std::to_string(entry.examples));
  if (shard.header().split != entry.split) return disagree("the split");
  if (shard.header().tokenizer != info.tokenizer || shard.header().vocab_size != info.vocab_size)
    return disagree("the tokenizer");
  for (std::int64_t row = 0; row < shard.size(); ++row)
    if (shard.norm(row) >= info.norms.size())
      return data_error("row " + std::to_string(row) + " is under norm " + std::to_string(shard.norm(row)) +
                            ", but dataset.json has only " + std::to_string(info.norms.size()),
                        where, kCurateAgain);
  return {};
}

Result<ShardReader> open_shard(const std::filesystem::path& folder, const ShardEntry& entry, const DatasetInfo& info,
                               Verify verify) {
  const std::filesystem::path file = folder / entry.file;
  std::error_code ec;
  if (!std::filesystem::is_regular_file(file, ec))
    return data_error("the shard is missing", file.string(), kCurateAgain);
  if (verify == Verify::kHashes) {
    PLUMBLINE_ASSIGN(const std::string hash, sha256_file(file));
    if (hash != entry.sha256)
      return data_error("the shard has changed since it was written: its SHA-256 is " + hash.substr(0, 12) +
                            "…, dataset.json has " + entry.sha256.substr(0, 12) + "…",
                        file.string(), std::string("Use an intact copy. ") + kCurateAgain);
  }
  PLUMBLINE_ASSIGN(ShardReader shard, ShardReader::open(file));
  PLUMBLINE_TRY(check_shard(shard, entry, info, file.string()));
  return shard;
}

}  // namespace

Json to_json(const DatasetInfo& info) {
  Json norms = Json::array(), shards = Json::array();
  for (const auto& norm : info.norms) norms.push_back(to_json(norm));
  for (const auto& shard : info.shards)
    shards.push_back(
        {{"file", shard.file}, {"split", shard.split}, {"examples", shard.examples}, {"sha256", shard.sha256}});
  Json json{{"schema_version", kDatasetSchemaVersion},
            {"name", info.name},
            {"tokenizer", info.tokenizer},
            {"vocab_size", info.vocab_size},
            {"norms", std::move(norms)},
            {"shards", std::move(shards)},
            {"provenance", info.provenance}};
  if (const auto& entry = info.sentencepiece)
    json["sentencepiece"] = {{"file", entry->file}, {"extra_ids", entry->extra_ids}, {"sha256", entry->sha256}};
  return json;
}

Result<DatasetInfo> dataset_info_from_json(const Json& json, const std::string& where) {
  PLUMBLINE_TRY(check_version(json, where));
  DatasetInfo info;
  PLUMBLINE_ASSIGN(info.name, json_get<std::string>(json, "name", where));
  PLUMBLINE_ASSIGN(info.tokenizer, json_get<std::string>(json, "tokenizer", where));
  PLUMBLINE_ASSIGN(info.vocab_size, json_get<std::int32_t>(json, "vocab_size", where));
  PLUMBLINE_ASSIGN(info.sentencepiece, sentencepiece_from_json(json, info.tokenizer, where));
  PLUMBLINE_ASSIGN(const Json* norms, list_of(json, "norms", kMaxNorms, where));
  std::set<std::string> names, files;
  for (std::size_t i = 0; i < norms->size(); ++i) {
    PLUMBLINE_ASSIGN(Norm norm, norm_from_json((*norms)[i], where + ": norms[" + std::to_string(i) + "]"));
    if (!names.insert(norm.name).second) return data_error("the norm \"" + norm.name + "\" is there twice", where);
    info.norms.push_back(std::move(norm));
  }
  PLUMBLINE_ASSIGN(const Json* shards, list_of(json, "shards", kMaxShards, where));
  for (std::size_t i = 0; i < shards->size(); ++i) {
    PLUMBLINE_ASSIGN(ShardEntry shard, shard_from_json((*shards)[i], where + ": shards[" + std::to_string(i) + "]"));
    if (!files.insert(shard.file).second) return data_error("the shard \"" + shard.file + "\" is there twice", where);
    info.shards.push_back(std::move(shard));
  }
  if (json.contains("provenance")) info.provenance = json.at("provenance");
  return info;
}

Result<std::unique_ptr<Tokenizer>> dataset_tokenizer(const DatasetInfo& info, const std::filesystem::path& folder) {
  if (info.sentencepiece) return open_sentencepiece(*info.sentencepiece, folder);
  auto tokenizer = make_tokenizer(info.tokenizer);
  if (tokenizer.has_value()) return tokenizer;
  return data_error("the dataset's tokenizer \"" + info.tokenizer + "\" is not one that this program has",
                    (folder / kInfoFile).string(), kCurateAgain);
}

Split::Place Split::at(std::int64_t row) const {
  PLUMBLINE_CHECK(row >= 0 && row < size(), "row " + std::to_string(row) + " of " + std::to_string(size()));
  const auto shard = static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), row) - starts_.begin());
  return {&shards_[shard], shard == 0 ? row : row - starts_[shard - 1]};
}

std::vector<std::int64_t> Split::tokens(std::int64_t row, Side side) const {
  const Place place = at(row);
  std::vector<std::int64_t> tokens;
  place.shard->append(place.row, side, tokens);
  return tokens;
}

Result<Dataset> Dataset::open(const std::filesystem::path& folder, Verify verify) {
  const std::filesystem::path file = folder / kInfoFile;
  std::error_code ec;
  if (!std::filesystem::is_directory(folder, ec))
    return data_error("there is no such dataset folder", folder.string(),
                      "Make it with `plumbline curate RECIPE --out " + folder.string() + "`.");
  if (!std::filesystem::exists(file, ec))
    return data_error("the dataset folder has no dataset.json", folder.string(),
                      "Make the dataset with `plumbline curate RECIPE --out DIR`.");
  PLUMBLINE_ASSIGN(const Json json, read_json_file(file));
  Dataset dataset;
  dataset.folder_ = folder;
  PLUMBLINE_ASSIGN(dataset.info_, dataset_info_from_json(json, file.string()));
  PLUMBLINE_ASSIGN(dataset.tokenizer_, dataset_tokenizer(dataset.info_, folder));
  PLUMBLINE_TRY(check_vocabulary(*dataset.tokenizer_, dataset.info_, file.string()));
  for (const ShardEntry& entry : dataset.info_.shards) {
    PLUMBLINE_ASSIGN(ShardReader shard, open_shard(folder, entry, dataset.info_, verify));
    Split& split = entry.split == kTrainSplit ? dataset.train_ : dataset.held_out_;
    split.starts_.push_back(split.size() + shard.size());
    split.shards_.push_back(std::move(shard));
  }
  dataset.content_hash_ = content_hash_of(dataset.info_);
  return dataset;
}

}  // namespace plumbline
