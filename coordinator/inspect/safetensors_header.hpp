// The header of a safetensors file: names, dtypes and shapes, without the tensors. The file: eight bytes,
// little-endian, that give the header's length; the header, a JSON object {NAME: {"dtype", "shape", "data_offsets":
// [begin, end]}} with an optional "__metadata__"; then the data, which the offsets cover without gaps.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace plumbline {

struct TensorEntry {
  std::string name, dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0, end = 0;  ///< bytes of the data
  [[nodiscard]] std::uint64_t elements() const;
};

/// In the order of the data. `header` is the JSON text, `data_bytes` the length of what follows it.
Result<std::vector<TensorEntry>> parse_safetensors_header(std::string_view header, std::uint64_t data_bytes,
                                                          const std::string& where);
/// Reads only the header; a data error naming the file when it is damaged.
Result<std::vector<TensorEntry>> read_safetensors_header(const std::filesystem::path& file);

}  // namespace plumbline
