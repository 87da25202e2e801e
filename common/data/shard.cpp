#include "common/data/shard.hpp"

#include <limits>
#include <set>

#include "common/data/hdf5.hpp"
#include "common/data/shard_layout.hpp"

namespace plumbline {

namespace {

const std::vector<std::int32_t>& tokens_of(const TokenizedExample& example, Side side) {
  return side == Side::kSource ? example.source : side == Side::kDesired ? example.desired : example.undesired;
}

Status check_examples(const std::filesystem::path& file, const ShardHeader& header,
                      const std::vector<TokenizedExample>& examples) {
  if (header.vocab_size < 1 || header.tokenizer.empty() || header.split.empty())
    return data_error("a shard needs a tokenizer, its vocabulary's size and a split", file.string());
  for (std::size_t row = 0; row < examples.size(); ++row) {
    const TokenizedExample& example = examples[row];
    for (const Side side : kSides)
      if (const char* fault = side_fault(tokens_of(example, side), has_side(example.kind, side), header.vocab_size))
        return data_error(row_name(row, side) + " " + fault, file.string());
    if (!sound_weight(example.weight))
      return data_error("row " + std::to_string(row) + " has a weight that is not a number of at least 0",
                        file.string());
    for (const auto& [name, value] : example.attributes)
      if (!plain_attribute_name(name))
        return data_error("row " + std::to_string(row) + " has an attribute whose name is empty, too long or has a /",
                          file.string());
  }
  return {};
}

template <class Token>
Status write_side(H5File& file, Side side, const std::vector<TokenizedExample>& examples) {
  std::vector<Token> tokens;
  std::vector<std::int64_t> offsets{0};
  for (const auto& example : examples) {
    for (const std::int32_t token : tokens_of(example, side)) tokens.push_back(static_cast<Token>(token));
    offsets.push_back(static_cast<std::int64_t>(tokens.size()));
  }
  const std::string group = group_of(side);
  PLUMBLINE_TRY(file.write(group + "/tokens", tokens));
  return file.write(group + "/offsets", offsets);
}

Status write_columns(H5File& file, const std::vector<TokenizedExample>& examples) {
  std::vector<std::uint16_t> norm;
  std::vector<std::uint8_t> kind;
  std::vector<float> weight;
  std::vector<std::uint64_t> id;
  std::set<std::string> attributes;
  for (const auto& example : examples) {
    norm.push_back(example.norm);
    kind.push_back(static_cast<std::uint8_t>(example.kind));
    weight.push_back(example.weight);
    id.insert(id.end(), {example.id.high, example.id.low});
    for (const auto& [name, value] : example.attributes) attributes.insert(name);
  }
  PLUMBLINE_TRY(file.write("norm", norm));
  PLUMBLINE_TRY(file.write("kind", kind));
  PLUMBLINE_TRY(file.write("weight", weight));
  PLUMBLINE_TRY(file.write("id", id, {examples.size(), 2}));
  for (const auto& name : attributes) {
    std::vector<float> values;
    for (const auto& example : examples) {
      const auto found = example.attributes.find(name);
      values.push_back(found == example.attributes.end() ? std::numeric_limits<float>::quiet_NaN() : found->second);
    }
    PLUMBLINE_TRY(file.write("attributes/" + name, values));
  }
  return {};
}

}  // namespace

Status write_shard(const std::filesystem::path& file, const ShardHeader& header,
                   const std::vector<TokenizedExample>& examples) {
  PLUMBLINE_TRY(check_examples(file, header, examples));
  PLUMBLINE_ASSIGN(H5File out, H5File::create(file));
  PLUMBLINE_TRY(out.write_attribute("format", kShardFormat));
  PLUMBLINE_TRY(out.write_attribute("version", kShardVersion));
  PLUMBLINE_TRY(out.write_attribute("tokenizer", header.tokenizer));
  PLUMBLINE_TRY(out.write_attribute("vocab_size", std::int64_t{header.vocab_size}));
  PLUMBLINE_TRY(out.write_attribute("split", header.split));
  for (const Side side : kSides)
    PLUMBLINE_TRY(header.vocab_size <= kLargest16BitVocabulary ? write_side<std::uint16_t>(out, side, examples)
                                                               : write_side<std::int32_t>(out, side, examples));
  PLUMBLINE_TRY(write_columns(out, examples));
  return out.flush_and_close();
}

}  // namespace plumbline
