// Tokenises the examples of the train and held-out parts and writes their shards.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/dataset.hpp"
#include "coordinator/curate/pool.hpp"
#include "coordinator/curate/split.hpp"

namespace plumbline {

/// Token counts (end of sequence included) of a norm's texts, by Side; absent sides are not counted.
using SideLengths = std::array<std::vector<std::int32_t>, 3>;

struct WrittenShards {
  std::vector<ShardEntry> shards;
  std::vector<SideLengths> lengths;  ///< by norm
};

/// Shards "train-00000.h5", "heldout-00000.h5", …, each of at most recipe.shard_examples examples in the order of the
/// pool.
Result<WrittenShards> write_shards(const Pool& pool, const Splits& splits, const Recipe& recipe,
                                   const Tokenizer& tokenizer, const std::filesystem::path& folder);

}  // namespace plumbline
