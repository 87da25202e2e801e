#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "common/data/hdf5.hpp"
#include "common/data/mapping.hpp"
#include "common/data/shard.hpp"
#include "common/data/shard_layout.hpp"

namespace plumbline {

namespace {

Error damaged(const std::string& what, const std::string& where) {
  return data_error(what, where, "The shard is damaged or was not written by Plumbline; use an intact copy.");
}

/// Tokens of one row where they lie in the file, at whatever alignment.
struct TokenView {
  const std::byte* data = nullptr;
  std::size_t count = 0;
  bool wide = false;  ///< int32, else uint16

  [[nodiscard]] bool empty() const { return count == 0; }
  [[nodiscard]] std::int32_t operator[](std::size_t i) const {
    if (wide) return load<std::int32_t>(i);
    return load<std::uint16_t>(i);
  }
  [[nodiscard]] std::int32_t back() const { return (*this)[count - 1]; }

  struct Iterator {
    const TokenView* view;
    std::size_t i;
    std::int32_t operator*() const { return (*view)[i]; }
    Iterator& operator++() { return ++i, *this; }
    bool operator!=(const Iterator& other) const { return i != other.i; }
  };
  [[nodiscard]] Iterator begin() const { return {this, 0}; }
  [[nodiscard]] Iterator end() const { return {this, count}; }

 private:
  template <class T>
  [[nodiscard]] T load(std::size_t i) const {
    T value;
    std::memcpy(&value, data + i * sizeof(T), sizeof(T));
    return value;
  }
};

}  // namespace

struct ShardReader::State {
  struct Tokens {
    const std::byte* data = nullptr;
    std::vector<std::int64_t> offsets;
  };
  explicit State(Mapping m) : mapping(std::move(m)) {}

  Mapping mapping;
  ShardHeader header;
  bool wide = false;
  std::array<Tokens, 3> sides;
  std::vector<std::uint16_t> norm;
  std::vector<std::uint8_t> kind;
  std::vector<float> weight;
  std::vector<std::uint64_t> id;
  std::map<std::string, std::vector<float>> attributes;

  [[nodiscard]] std::size_t width() const { return wide ? sizeof(std::int32_t) : sizeof(std::uint16_t); }
  [[nodiscard]] TokenView view(std::size_t row, Side side) const {
    const Tokens& tokens = sides[static_cast<std::size_t>(side)];
    const auto begin = static_cast<std::size_t>(tokens.offsets[row]);
    return {tokens.data + begin * width(), static_cast<std::size_t>(tokens.offsets[row + 1]) - begin, wide};
  }
  Status read_header(const H5File& file, const std::string& where);
  Status read_columns(const H5File& file, const std::string& where);
  Status read_side(const H5File& file, Side side, const std::string& where);
  [[nodiscard]] Status check_rows(const std::string& where) const;
};

Status ShardReader::State::read_header(const H5File& file, const std::string& where) {
  const auto format = file.text_attribute("format");
  if (format.has_error() || *format != kShardFormat) return damaged("this HDF5 file is not a shard", where);
  PLUMBLINE_ASSIGN(const std::int64_t version, file.int_attribute("version"));
  if (version > kShardVersion)
    return data_error("the shard has version " + std::to_string(version) + "; this program reads up to " +
                          std::to_string(kShardVersion),
                      where, "Use a newer Plumbline, or curate the dataset again.");
  PLUMBLINE_ASSIGN(header.tokenizer, file.text_attribute("tokenizer"));
  PLUMBLINE_ASSIGN(header.split, file.text_attribute("split"));
  PLUMBLINE_ASSIGN(const std::int64_t vocab_size, file.int_attribute("vocab_size"));
  if (version < 1 || vocab_size < 1 || vocab_size > std::numeric_limits<std::int32_t>::max() ||
      header.tokenizer.empty() || header.split.empty())
    return damaged("the shard's version, tokenizer, vocab_size or split makes no sense", where);
  header.vocab_size = static_cast<std::int32_t>(vocab_size);
  wide = header.vocab_size > kLargest16BitVocabulary;
  return {};
}

Status ShardReader::State::read_columns(const H5File& file, const std::string& where) {
  PLUMBLINE_ASSIGN(kind, file.read<std::uint8_t>("kind"));
  PLUMBLINE_ASSIGN(norm, file.read<std::uint16_t>("norm"));
  PLUMBLINE_ASSIGN(weight, file.read<float>("weight"));
  PLUMBLINE_ASSIGN(id, file.read<std::uint64_t>("id"));
  PLUMBLINE_ASSIGN(const auto id_shape, file.shape("id"));
  const std::size_t rows = kind.size();
  if (norm.size() != rows || weight.size() != rows || id_shape != std::vector<std::uint64_t>{rows, 2})
    return damaged("the datasets kind, norm, weight and id disagree about the number of rows", where);
  for (const auto& name : file.members("attributes")) {
    PLUMBLINE_ASSIGN(auto values, file.read<float>("attributes/" + name));
    if (values.size() != rows)
      return damaged("the dataset attributes/" + name + " has another number of rows than kind", where);
    attributes.emplace(name, std::move(values));
  }
  return {};
}

Status ShardReader::State::read_side(const H5File& file, Side side, const std::string& where) {
  const std::string group = group_of(side);
  Tokens& tokens = sides[static_cast<std::size_t>(side)];
  PLUMBLINE_ASSIGN(const H5Extent extent,
                   wide ? file.extent<std::int32_t>(group + "/tokens") : file.extent<std::uint16_t>(group + "/tokens"));
  PLUMBLINE_ASSIGN(tokens.offsets, file.read<std::int64_t>(group + "/offsets"));
  const auto bytes = mapping.bytes();
  if (extent.offset > bytes.size() || extent.count > (bytes.size() - extent.offset) / width())
    return damaged("the dataset " + group + "/tokens reaches beyond the end of the file", where);
  tokens.data = bytes.data() + extent.offset;
  const auto& offsets = tokens.offsets;
  if (offsets.size() != kind.size() + 1 || offsets.front() != 0 || !std::is_sorted(offsets.begin(), offsets.end()) ||
      static_cast<std::uint64_t>(offsets.back()) != extent.count)
    return damaged("the dataset " + group + "/offsets does not rise from 0 to the number of tokens, one step a row",
                   where);
  for (std::size_t row = 0; row < kind.size(); ++row)
    if (offsets[row + 1] - offsets[row] > std::numeric_limits<std::int32_t>::max())
      return damaged(row_name(row, side) + " is too long", where);
  return {};
}

Status ShardReader::State::check_rows(const std::string& where) const {
  for (std::size_t row = 0; row < kind.size(); ++row) {
    if (kind[row] > static_cast<std::uint8_t>(ExampleKind::kProhibition))
      return damaged("row " + std::to_string(row) + " has the unknown kind " + std::to_string(kind[row]), where);
    if (!sound_weight(weight[row]))
      return damaged("row " + std::to_string(row) + " has a weight that is not a number of at least 0", where);
    for (const Side side : kSides)
      if (const char* fault =
              side_fault(view(row, side), has_side(static_cast<ExampleKind>(kind[row]), side), header.vocab_size))
        return damaged(row_name(row, side) + " " + fault, where);
  }
  return {};
}

Result<ShardReader> ShardReader::open(const std::filesystem::path& path) {
  const std::string where = path.string();
  PLUMBLINE_ASSIGN(const H5File file, H5File::open(path));
  PLUMBLINE_ASSIGN(Mapping mapping, Mapping::map(path));
  auto state = std::make_unique<State>(std::move(mapping));
  PLUMBLINE_TRY(state->read_header(file, where));
  PLUMBLINE_TRY(state->read_columns(file, where));
  for (const Side side : kSides) PLUMBLINE_TRY(state->read_side(file, side, where));
  PLUMBLINE_TRY(state->check_rows(where));
  return ShardReader(std::move(state));
}

ShardReader::ShardReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ShardReader::ShardReader(ShardReader&&) noexcept = default;
ShardReader& ShardReader::operator=(ShardReader&&) noexcept = default;
ShardReader::~ShardReader() = default;

const ShardHeader& ShardReader::header() const { return state_->header; }
std::int64_t ShardReader::size() const { return static_cast<std::int64_t>(state_->kind.size()); }

std::int32_t ShardReader::length(std::int64_t row, Side side) const {
  return static_cast<std::int32_t>(state_->view(static_cast<std::size_t>(row), side).count);
}

void ShardReader::append(std::int64_t row, Side side, std::vector<std::int64_t>& out) const {
  const TokenView view = state_->view(static_cast<std::size_t>(row), side);
  out.reserve(out.size() + view.count);
  for (const std::int32_t token : view) out.push_back(token);
}

ExampleId ShardReader::id(std::int64_t row) const {
  const auto i = 2 * static_cast<std::size_t>(row);
  return {state_->id[i], state_->id[i + 1]};
}
ExampleKind ShardReader::kind(std::int64_t row) const {
  return static_cast<ExampleKind>(state_->kind[static_cast<std::size_t>(row)]);
}
std::uint16_t ShardReader::norm(std::int64_t row) const { return state_->norm[static_cast<std::size_t>(row)]; }
float ShardReader::weight(std::int64_t row) const { return state_->weight[static_cast<std::size_t>(row)]; }

float ShardReader::attribute(std::int64_t row, const std::string& name) const {
  const auto found = state_->attributes.find(name);
  return found == state_->attributes.end() ? std::numeric_limits<float>::quiet_NaN()
                                           : found->second[static_cast<std::size_t>(row)];
}

std::vector<std::string> ShardReader::attribute_names() const {
  std::vector<std::string> names;
  for (const auto& [name, values] : state_->attributes) names.push_back(name);
  return names;
}

}  // namespace plumbline
