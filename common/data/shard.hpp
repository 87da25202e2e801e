// A shard: one HDF5 file of tokenised examples (layout: docs/formats.md). Written once, then read-only.
// Tokens are contiguous per side (uint16, or int32 when the vocabulary needs it) with n+1 int64 offsets, so a reader
// maps them straight from the file.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/example.hpp"

namespace plumbline {

enum class Side { kSource = 0, kDesired = 1, kUndesired = 2 };

struct TokenizedExample {
  ExampleId id;
  std::uint16_t norm = 0;  ///< index into the dataset's norms
  ExampleKind kind = ExampleKind::kDemonstration;
  float weight = 1;
  std::vector<std::int32_t> source, desired, undesired;  ///< EOS included; an absent side is empty
  std::map<std::string, float> attributes;
};

struct ShardHeader {
  std::string tokenizer;        ///< name
  std::int32_t vocab_size = 0;  ///< decides the token width
  std::string split;
};

Status write_shard(const std::filesystem::path& file, const ShardHeader& header,
                   const std::vector<TokenizedExample>& examples);

/// Read-only view of a shard; movable; reads are thread-safe. Opening checks the layout and all bounds, so later
/// reads cannot fail: a truncated or inconsistent file is a data error naming it.
class ShardReader {
 public:
  static Result<ShardReader> open(const std::filesystem::path& file);
  ShardReader(ShardReader&&) noexcept;
  ShardReader& operator=(ShardReader&&) noexcept;
  ~ShardReader();

  [[nodiscard]] const ShardHeader& header() const;
  [[nodiscard]] std::int64_t size() const;
  [[nodiscard]] std::int32_t length(std::int64_t row, Side side) const;            ///< tokens, 0 for an absent side
  void append(std::int64_t row, Side side, std::vector<std::int64_t>& out) const;  ///< widened ids
  [[nodiscard]] ExampleId id(std::int64_t row) const;
  [[nodiscard]] ExampleKind kind(std::int64_t row) const;
  [[nodiscard]] std::uint16_t norm(std::int64_t row) const;
  [[nodiscard]] float weight(std::int64_t row) const;
  /// NaN when the example has no such number.
  [[nodiscard]] float attribute(std::int64_t row, const std::string& name) const;
  [[nodiscard]] std::vector<std::string> attribute_names() const;

 private:
  struct State;
  explicit ShardReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace plumbline
