// Log-probs of outputs under one frozen model, addressed by content (HDF5; docs/formats.md). A row's bits depend on the
// rows that are computed with it, so what has an address is a group of rows; it is the hash of their tokens. A part
// file holds some groups, in any order; a folder holds the parts of one model. The same group always has the same
// numbers, so it does not matter which of several parts a reader takes it from, nor who wrote that part.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/example.hpp"

namespace plumbline {

/// A row as the model is given it: cut, and an absent side empty.
struct RowTokens {
  std::vector<std::int64_t> source, desired, undesired;
};
using GroupKey = ExampleId;
/// XXH3-128 of the rows' tokens, in the order in which they are computed.
GroupKey group_key(const std::vector<RowTokens>& rows);

struct ScoredOutput {
  float log_prob = 0, differing_log_prob = 0;     ///< sums over all tokens, and over those that differ in a pair
  std::int32_t tokens = 0, differing_tokens = 0;  ///< how many those are; EOS counts
  friend bool operator==(const ScoredOutput&, const ScoredOutput&) = default;
};
struct ScoredGroup {
  GroupKey key;
  std::vector<ScoredOutput> outputs;  ///< row by row: the desired one, then the undesired one
};
struct ReferencePart {
  std::string model;  ///< 64 hex digits: the name of the folder that the part belongs into
  std::vector<ScoredGroup> groups;
};

/// Hangs on the groups alone: two runs that compute the same write the same file. With the ending ".h5".
std::string reference_part_name(const ReferencePart& part);
Status write_reference_part(const std::filesystem::path& file, const ReferencePart& part);
/// A data error for a file that is damaged, or of another model than `model`.
Result<ReferencePart> read_reference_part(const std::filesystem::path& file, const std::string& model);

}  // namespace plumbline
