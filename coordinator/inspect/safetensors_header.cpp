#include "coordinator/inspect/safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <system_error>
#include <tuple>

#include "common/core/json.hpp"

namespace plumbline {

namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's bound
constexpr std::size_t kMaxDimensions = 64;

struct Dtype {
  const char* name;
  std::uint64_t bytes;
};
constexpr std::array<Dtype, 14> kDtypes{{{"BOOL", 1},
                                         {"U8", 1},
                                         {"I8", 1},
                                         {"F8_E4M3", 1},
                                         {"F8_E5M2", 1},
                                         {"I16", 2},
                                         {"U16", 2},
                                         {"F16", 2},
                                         {"BF16", 2},
                                         {"I32", 4},
                                         {"U32", 4},
                                         {"F32", 4},
                                         {"F64", 8},
                                         {"I64", 8}}};

Error damaged(const std::string& what, const std::string& where) {
  return data_error(what, where, "The file is damaged or was not written as safetensors; use an intact copy.");
}

Result<std::vector<std::uint64_t>> counts(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array() || found->size() > kMaxDimensions)
    return damaged(std::string("the key \"") + key + "\" is missing or not a short list", where);
  std::vector<std::uint64_t> values;
  for (const auto& item : *found) {
    if (!item.is_number_unsigned())
      return damaged(std::string("the key \"") + key + "\" holds something other than counts", where);
    values.push_back(item.get<std::uint64_t>());
  }
  return values;
}

Result<TensorEntry> parse_entry(const std::string& name, const Json& json, const std::string& where) {
  TensorEntry entry;
  entry.name = name;
  PLUMBLINE_ASSIGN(entry.dtype, json_get<std::string>(json, "dtype", where));
  PLUMBLINE_ASSIGN(entry.shape, counts(json, "shape", where));
  PLUMBLINE_ASSIGN(const auto offsets, counts(json, "data_offsets", where));
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    return damaged("the key \"data_offsets\" is not a begin and an end", where);
  entry.begin = offsets[0];
  entry.end = offsets[1];
  const auto dtype =
      std::find_if(kDtypes.begin(), kDtypes.end(), [&](const Dtype& d) { return entry.dtype == d.name; });
  if (dtype == kDtypes.end()) return damaged("the dtype \"" + entry.dtype + "\" is not known", where);
  std::uint64_t bytes = dtype->bytes;
  for (const std::uint64_t size : entry.shape)
    if (__builtin_mul_overflow(bytes, size, &bytes)) return damaged("the shape is too large", where);
  if (bytes != entry.end - entry.begin) return damaged("the shape and the bytes disagree", where);
  return entry;
}

}  // namespace

std::uint64_t TensorEntry::elements() const {
  std::uint64_t product = 1;  // cannot overflow: parse_entry has multiplied the same numbers
  for (const std::uint64_t size : shape) product *= size;
  return product;
}

Result<std::vector<TensorEntry>> parse_safetensors_header(std::string_view header, std::uint64_t data_bytes,
                                                          const std::string& where) {
  PLUMBLINE_ASSIGN(const Json json, parse_json(header, where));
  if (!json.is_object()) return damaged("the safetensors header is not a JSON object", where);
  std::vector<TensorEntry> entries;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") continue;
    PLUMBLINE_ASSIGN(TensorEntry entry, parse_entry(name, value, where + ": tensor " + name));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::uint64_t covered = 0;
  for (const auto& entry : entries) {
    if (entry.begin != covered)
      return damaged("the tensor " + entry.name + " overlaps another or leaves a gap before it", where);
    covered = entry.end;
  }
  if (covered != data_bytes)
    return damaged("the tensors cover " + std::to_string(covered) + " bytes, the file has " +
                       std::to_string(data_bytes) + " bytes of data",
                   where);
  return entries;
}

Result<std::vector<TensorEntry>> read_safetensors_header(const std::filesystem::path& file) {
  const std::string where = file.string();
  std::error_code ec;
  const std::uint64_t file_bytes = std::filesystem::file_size(file, ec);
  if (ec) return data_error("the file cannot be read: " + ec.message(), where);
  std::ifstream in(file, std::ios::binary);
  std::array<unsigned char, 8> prefix{};
  if (!in.read(reinterpret_cast<char*>(prefix.data()), prefix.size()))
    return damaged("the file is too short for a safetensors header", where);
  std::uint64_t header_bytes = 0;
  for (std::size_t i = prefix.size(); i-- > 0;) header_bytes = header_bytes << 8 | prefix[i];
  const std::uint64_t rest = file_bytes - prefix.size();
  if (header_bytes > rest || header_bytes > kMaxHeaderBytes)
    return damaged("the safetensors header claims " + std::to_string(header_bytes) + " bytes, the file has " +
                       std::to_string(file_bytes),
                   where);
  std::string header(header_bytes, '\0');
  if (!in.read(header.data(), static_cast<std::streamsize>(header_bytes)))
    return damaged("the safetensors header cannot be read", where);
  return parse_safetensors_header(header, rest - header_bytes, where);
}

}  // namespace plumbline
