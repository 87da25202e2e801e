#include "coordinator/curate/shard_output.hpp"

#include <fmt/format.h>

#include <utility>

#include "common/core/files.hpp"

namespace plumbline {

namespace {

TokenizedExample tokenized(const PooledExample& pooled, const Tokenizer& tokenizer) {
  const Example& example = pooled.example;
  TokenizedExample tokens;
  tokens.id = example.id;
  tokens.norm = pooled.norm;
  tokens.kind = example.kind;
  tokens.weight = example.weight;
  tokens.attributes = example.attributes;
  tokens.source = tokenizer.encode(example.source);
  if (example.kind != ExampleKind::kProhibition) tokens.desired = tokenizer.encode(example.desired);
  if (example.kind != ExampleKind::kDemonstration) tokens.undesired = tokenizer.encode(example.undesired);
  return tokens;
}

/// Writes one split, shard by shard: only one shard's tokens are in memory.
class ShardWriter {
 public:
  ShardWriter(ShardHeader header, const std::filesystem::path& folder, std::size_t most, WrittenShards& written)
      : header_(std::move(header)), folder_(folder), most_(most), written_(written) {}

  Status add(TokenizedExample example) {
    SideLengths& lengths = written_.lengths[example.norm];
    const std::vector<std::int32_t>* sides[] = {&example.source, &example.desired, &example.undesired};
    for (std::size_t side = 0; side < 3; ++side)
      if (!sides[side]->empty()) lengths[side].push_back(static_cast<std::int32_t>(sides[side]->size()));
    examples_.push_back(std::move(example));
    return examples_.size() == most_ ? finish_shard() : Status();
  }
  Status finish() { return examples_.empty() ? Status() : finish_shard(); }

 private:
  Status finish_shard() {
    ShardEntry entry;
    entry.file = fmt::format("{}-{:05}.h5", header_.split, number_++);
    entry.split = header_.split;
    entry.examples = static_cast<std::int64_t>(examples_.size());
    PLUMBLINE_TRY(write_shard(folder_ / entry.file, header_, examples_));
    PLUMBLINE_ASSIGN(entry.sha256, sha256_file(folder_ / entry.file));
    written_.shards.push_back(std::move(entry));
    examples_.clear();
    return {};
  }

  ShardHeader header_;
  const std::filesystem::path& folder_;
  std::size_t most_;
  WrittenShards& written_;
  std::vector<TokenizedExample> examples_;
  int number_ = 0;
};

}  // namespace

Result<WrittenShards> write_shards(const Pool& pool, const Splits& splits, const Recipe& recipe,
                                   const Tokenizer& tokenizer, const std::filesystem::path& folder) {
  WrittenShards written;
  written.lengths.resize(recipe.norms.size());
  for (const auto& [part, name] : {std::pair(Part::kTrain, kTrainSplit), std::pair(Part::kHeldOut, kHeldOutSplit)}) {
    const ShardHeader header{.tokenizer = tokenizer.name(), .vocab_size = tokenizer.vocab_size(), .split = name};
    ShardWriter writer(header, folder, static_cast<std::size_t>(recipe.shard_examples), written);
    for (std::size_t i = 0; i < pool.examples.size(); ++i)
      if (splits.parts[i] == part) PLUMBLINE_TRY(writer.add(tokenized(pool.examples[i], tokenizer)));
    PLUMBLINE_TRY(writer.finish());
  }
  return written;
}

}  // namespace plumbline
