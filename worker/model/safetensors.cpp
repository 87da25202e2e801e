#include "worker/model/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>

#include "common/core/json.hpp"
#include "worker/model/safetensors_image.hpp"

namespace plumbline {

namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's bound
constexpr std::size_t kDataAlign = 64;

struct Dtype {
  at::ScalarType type;
  const char* name;
  std::uint64_t bytes;
};
constexpr std::array<Dtype, 4> kDtypes{
    {{at::kFloat, "F32", 4}, {at::kHalf, "F16", 2}, {at::kBFloat16, "BF16", 2}, {at::kLong, "I64", 8}}};

struct Entry {
  std::string name;
  const Dtype* dtype = nullptr;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;
};

Error bad(const std::filesystem::path& file, const std::string& message) {
  return data_error(message, file.string(),
                    "The file is damaged or was not written as safetensors; use an intact copy.");
}

/// One member of the header, checked against the `data_bytes` that follow it.
Result<Entry> parse_entry(const std::filesystem::path& file, const std::string& name, const Json& json,
                          std::uint64_t data_bytes) {
  const std::string where = file.string() + ": tensor " + name;
  Entry entry;
  entry.name = name;
  PLUMBLINE_ASSIGN(const auto dtype, json_get<std::string>(json, "dtype", where));
  for (const auto& known : kDtypes)
    if (dtype == known.name) entry.dtype = &known;
  if (entry.dtype == nullptr) return data_error("its dtype " + dtype + " is not one of F32, F16, BF16, I64", where);
  const auto numbers = [&](const char* key) -> Result<std::vector<std::uint64_t>> {
    if (!json.contains(key) || !json[key].is_array() || json[key].size() > 64)
      return data_error(std::string("the key \"") + key + "\" is missing or not a short list of numbers", where);
    std::vector<std::uint64_t> values;
    for (const auto& item : json[key]) {
      if (!item.is_number_unsigned())
        return data_error(std::string("the key \"") + key + "\" holds something other than counts", where);
      values.push_back(item.get<std::uint64_t>());
    }
    return values;
  };
  PLUMBLINE_ASSIGN(const auto shape, numbers("shape"));
  PLUMBLINE_ASSIGN(const auto offsets, numbers("data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes)
    return data_error("it reaches outside the file", where, "The file is truncated or damaged; use an intact copy.");
  entry.begin = offsets[0];
  entry.end = offsets[1];
  std::uint64_t elements = 1;
  for (const auto d : shape) {
    if (d > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
        __builtin_mul_overflow(elements, d, &elements))
      return data_error("its shape is too large", where);
    entry.shape.push_back(static_cast<std::int64_t>(d));
  }
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(elements, entry.dtype->bytes, &bytes) || bytes != entry.end - entry.begin)
    return data_error("its shape and its bytes disagree", where);
  return entry;
}

Result<std::vector<Entry>> parse_header(const std::filesystem::path& file, const Json& header,
                                        std::uint64_t data_bytes) {
  if (!header.is_object()) return bad(file, "the safetensors header is not a JSON object");
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") continue;
    PLUMBLINE_ASSIGN(Entry entry, parse_entry(file, name, value, data_bytes));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  std::uint64_t expected = 0;
  for (const auto& entry : entries) {
    if (entry.begin != expected)
      return bad(file, "the tensor " + entry.name + " overlaps another or leaves a gap before it");
    expected = entry.end;
  }
  if (expected != data_bytes)
    return bad(file, "the tensors end at byte " + std::to_string(expected) + " of " + std::to_string(data_bytes) +
                         " bytes of data");
  return entries;
}

}  // namespace

Result<SafetensorsLayout> layout_safetensors(const std::filesystem::path& file,
                                             const std::vector<NamedTensor>& tensors) {
  SafetensorsLayout layout;
  // Built by hand: an object of the JSON library would sort the names.
  std::string header = R"({"__metadata__":{"format":"pt"})";
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const Dtype* dtype = nullptr;
    for (const auto& known : kDtypes)
      if (tensor.scalar_type() == known.type) dtype = &known;
    if (dtype == nullptr)
      return run_error("the tensor " + name + " has a dtype that Plumbline does not write", file.string());
    header.append(",").append(Json(name).dump()).append(R"(:{"dtype":")").append(dtype->name);
    header.append(R"(","shape":)").append(Json(tensor.sizes().vec()).dump()).append(R"(,"data_offsets":[)");
    layout.begins.push_back(offset);
    offset += static_cast<std::uint64_t>(tensor.numel()) * dtype->bytes;
    header.append(std::to_string(layout.begins.back())).append(",").append(std::to_string(offset)).append("]}");
  }
  header += "}";
  header.append((kDataAlign - (sizeof(std::uint64_t) + header.size()) % kDataAlign) % kDataAlign, ' ');
  for (int i = 0; i < 8; ++i) layout.head.push_back(static_cast<char>(header.size() >> (8 * i)));
  layout.head += header;
  for (std::uint64_t& begin : layout.begins) begin += layout.head.size();
  layout.bytes = layout.head.size() + offset;
  return layout;
}

void fill_safetensors(const SafetensorsLayout& layout, const std::vector<NamedTensor>& tensors, void* image) {
  const at::NoGradGuard no_grad;
  auto* bytes = static_cast<char*>(image);
  std::memcpy(bytes, layout.head.data(), layout.head.size());
  // What follows one another in memory as in the file is copied in one go: large copies pass the caches by.
  const char* from = nullptr;
  char* to = nullptr;
  std::size_t size = 0;
  const auto copy = [&] {
    if (size > 0) std::memcpy(to, from, size);
    size = 0;
  };
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor& tensor = tensors[i].tensor;
    char* place = bytes + layout.begins[i];
    if (!tensor.is_cpu() || !tensor.is_contiguous()) {
      at::from_blob(place, tensor.sizes(), at::TensorOptions(tensor.scalar_type())).copy_(tensor.detach());
      continue;
    }
    const auto* data = static_cast<const char*>(tensor.const_data_ptr());
    if (size == 0 || data != from + size || place != to + size) {
      copy();
      from = data, to = place;
    }
    size += tensor.nbytes();
  }
  copy();
}

Status write_safetensors(const std::filesystem::path& file, const std::vector<NamedTensor>& tensors) {
  PLUMBLINE_ASSIGN(const SafetensorsLayout layout, layout_safetensors(file, tensors));
  const auto image = std::make_unique_for_overwrite<char[]>(layout.bytes);
  fill_safetensors(layout, tensors, image.get());
  return write_file_atomically(file, {image.get(), layout.bytes});
}

Result<std::map<std::string, at::Tensor>> read_safetensors(const std::filesystem::path& file) {
  std::error_code ec;
  const std::uint64_t file_bytes = std::filesystem::file_size(file, ec);
  if (ec) return data_error("cannot read the file: " + ec.message(), file.string());
  std::ifstream in(file, std::ios::binary);
  std::array<unsigned char, 8> prefix{};
  if (!in.read(reinterpret_cast<char*>(prefix.data()), prefix.size()))
    return bad(file, "the file is too short for a safetensors header");
  std::uint64_t header_bytes = 0;
  for (int i = 7; i >= 0; --i) header_bytes = header_bytes << 8 | prefix[static_cast<std::size_t>(i)];
  if (header_bytes > file_bytes - prefix.size() || header_bytes > kMaxHeaderBytes)
    return bad(file, "the safetensors header claims " + std::to_string(header_bytes) + " bytes; the file has " +
                         std::to_string(file_bytes));
  std::string text(header_bytes, '\0');
  if (!in.read(text.data(), static_cast<std::streamsize>(header_bytes)))
    return bad(file, "the safetensors header cannot be read");
  PLUMBLINE_ASSIGN(const Json header, parse_json(text, file.string() + ": safetensors header"));
  const std::uint64_t data_begin = prefix.size() + header_bytes;
  PLUMBLINE_ASSIGN(const auto entries, parse_header(file, header, file_bytes - data_begin));
  std::map<std::string, at::Tensor> tensors;
  for (const auto& entry : entries) {
    try {
      at::Tensor tensor = at::empty(entry.shape, entry.dtype->type);
      in.seekg(static_cast<std::streamoff>(data_begin + entry.begin));
      const auto bytes = static_cast<std::streamsize>(entry.end - entry.begin);
      if (bytes > 0 && !in.read(static_cast<char*>(tensor.mutable_data_ptr()), bytes))
        return bad(file, "the tensor " + entry.name + " cannot be read");
      tensors.emplace(entry.name, std::move(tensor));
    } catch (const std::exception&) {  // c10's out-of-memory error
      return environment_error("no memory for the tensor " + entry.name, file.string());
    }
  }
  return tensors;
}

}  // namespace plumbline
