// Counting and showing rows, alike for a shard and for a split of several shards.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "common/data/dataset.hpp"

namespace plumbline {

/// Rows and the shards that hold them; those must outlive it.
using Places = std::vector<Split::Place>;
Places places_of(const Split& split);
Places places_of(const ShardReader& shard);
Places of_norm(const Places& places, std::uint16_t norm);

const char* to_string(ExampleKind kind);  ///< "demonstration", "preference" or "prohibition"

/// {"examples": n, "demonstrations": n, "preferences": n, "prohibitions": n}
Json count_kinds(const Places& places);
/// {"source"|"desired"|"undesired": {"tokens": n, "examples": n, "mean": x, "longest": n}}, EOS included; a side that
/// no row has is absent.
Json measure_lengths(const Places& places);
/// {NAME: range}; a name that no row has is absent.
Json measure_attributes(const Places& places);

/// Names the norm with this index.
using NormName = std::function<std::string(std::uint16_t)>;
/// {"row", "id", "norm", "kind", "weight", "source", "desired"?, "undesired"?, "attributes"}; `row` is the place in
/// `places` of the split or shard. Without a tokenizer the sides are their token ids with spaces between them.
Json show_row(const Split::Place& place, std::int64_t row, const Tokenizer* tokenizer, const NormName& norm_name);

/// At most `count` of `total` places, evenly spread, so that a sample of sorted rows is of all sorts.
std::vector<std::size_t> spread(std::size_t total, int count);

}  // namespace plumbline
