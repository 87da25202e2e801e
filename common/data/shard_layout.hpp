// What writing and reading a shard have in common; private to shard.cpp and shard_reader.cpp.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "common/data/shard.hpp"
#include "common/text/tokenizer.hpp"

namespace plumbline {

inline constexpr std::int64_t kShardVersion = 1;
inline constexpr const char* kShardFormat = "plumbline-shard";
inline constexpr std::int32_t kLargest16BitVocabulary = 65536;
inline constexpr std::array<Side, 3> kSides{Side::kSource, Side::kDesired, Side::kUndesired};

inline std::string group_of(Side side) {
  constexpr std::array<const char*, 3> kNames{"source", "desired", "undesired"};
  return kNames[static_cast<std::size_t>(side)];
}

inline std::string row_name(std::size_t row, Side side) {
  return "row " + std::to_string(row) + ": its " + group_of(side);
}

inline bool has_side(ExampleKind kind, Side side) {
  return side == Side::kSource || kind == ExampleKind::kPreference ||
         (side == Side::kDesired) == (kind == ExampleKind::kDemonstration);
}

/// What is wrong with one side of a row, or nullptr. `Tokens` is any range of integers with empty() and back().
template <class Tokens>
const char* side_fault(const Tokens& tokens, bool present, std::int32_t vocab_size) {
  if (!present) return tokens.empty() ? nullptr : "has tokens though the example's kind has no such side";
  if (tokens.empty()) return "is empty though the example's kind has this side";
  for (const std::int32_t token : tokens)
    if (token < 0 || token >= vocab_size) return "holds a token outside the vocabulary";
  return tokens.back() == kEosToken ? nullptr : "does not end with the end-of-sequence token";
}

inline bool sound_weight(float weight) { return std::isfinite(weight) && weight >= 0; }

}  // namespace plumbline
