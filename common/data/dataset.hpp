// A dataset: a folder with dataset.json (schema version, tokenizer, norms, counts, content hashes, provenance),
// shards per split and a data card. Made by `plumbline curate`; read by everything else.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "common/core/result.hpp"
#include "common/data/shard.hpp"
#include "common/text/norm.hpp"
#include "common/text/tokenizer.hpp"

namespace plumbline {

inline constexpr int kDatasetSchemaVersion = 1;
inline constexpr const char* kTrainSplit = "train";
inline constexpr const char* kHeldOutSplit = "heldout";

struct ShardEntry {
  std::string file;  ///< name within the folder
  std::string split;
  std::int64_t examples = 0;
  std::string sha256;
};

/// Where the tokenizer "sentencepiece" has its pieces from.
struct SentencePieceEntry {
  std::string file;  ///< name within the folder
  int extra_ids = 0;
  std::string sha256;
};

/// dataset.json.
struct DatasetInfo {
  std::string name;
  std::string tokenizer = "byte";
  std::optional<SentencePieceEntry> sentencepiece;  ///< when that is the tokenizer
  std::int32_t vocab_size = 384;
  std::vector<Norm> norms;
  std::vector<ShardEntry> shards;
  Json provenance = Json::object();  ///< recipe, sources with hashes, counts left out and why
};
Json to_json(const DatasetInfo& info);
Result<DatasetInfo> dataset_info_from_json(const Json& json, const std::string& where);

/// The tokenizer of the dataset in `folder`. A data error names the file that is missing, or is not the one it was.
Result<std::unique_ptr<Tokenizer>> dataset_tokenizer(const DatasetInfo& info, const std::filesystem::path& folder);

/// All shards of one split as one sequence of rows.
class Split {
 public:
  [[nodiscard]] std::int64_t size() const { return starts_.empty() ? 0 : starts_.back(); }
  struct Place {
    const ShardReader* shard;
    std::int64_t row;
  };
  [[nodiscard]] Place at(std::int64_t row) const;
  [[nodiscard]] std::int32_t length(std::int64_t row, Side side) const {
    auto p = at(row);
    return p.shard->length(p.row, side);
  }
  [[nodiscard]] std::vector<std::int64_t> tokens(std::int64_t row, Side side) const;
  [[nodiscard]] ExampleKind kind(std::int64_t row) const {
    auto p = at(row);
    return p.shard->kind(p.row);
  }
  [[nodiscard]] std::uint16_t norm(std::int64_t row) const {
    auto p = at(row);
    return p.shard->norm(p.row);
  }
  [[nodiscard]] float weight(std::int64_t row) const {
    auto p = at(row);
    return p.shard->weight(p.row);
  }
  [[nodiscard]] ExampleId id(std::int64_t row) const {
    auto p = at(row);
    return p.shard->id(p.row);
  }

 private:
  friend class Dataset;
  std::vector<ShardReader> shards_;
  std::vector<std::int64_t> starts_;  ///< starts_[i]: rows in shards 0..i (inclusive prefix sums)
};

enum class Verify { kSizes, kHashes };

class Dataset {
 public:
  /// kHashes also compares each shard's SHA-256 with dataset.json; a tokenizer's file is always compared. Errors name
  /// the file and the mend.
  static Result<Dataset> open(const std::filesystem::path& folder, Verify verify = Verify::kHashes);
  [[nodiscard]] const DatasetInfo& info() const { return info_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] const Split& train() const { return train_; }
  [[nodiscard]] const Split& held_out() const { return held_out_; }
  /// What its rows were made with; stays where it is when the dataset is moved.
  [[nodiscard]] const Tokenizer& tokenizer() const { return *tokenizer_; }
  /// SHA-256 over schema, tokenizer, norms and the shards' hashes: what a run or a cache is bound to.
  [[nodiscard]] const std::string& content_hash() const { return content_hash_; }

 private:
  DatasetInfo info_;
  std::filesystem::path folder_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  Split train_, held_out_;
  std::string content_hash_;
};

}  // namespace plumbline
