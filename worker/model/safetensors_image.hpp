// A safetensors file (safetensors.hpp) in host memory, for whoever wants its bytes before they are on a disk: tensors
// that change are copied there at once, and written at leisure. Any thread.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "worker/model/safetensors.hpp"

namespace plumbline {

/// Where in a file of certain tensors what lies.
struct SafetensorsLayout {
  std::string head;                   ///< how the file begins: the header with its length, a multiple of 64 bytes
  std::vector<std::uint64_t> begins;  ///< of each tensor's bytes, from the file's beginning
  std::uint64_t bytes = 0;            ///< of the whole file
};

/// A run error that names `file` and the tensor when one has a dtype that Plumbline does not write.
Result<SafetensorsLayout> layout_safetensors(const std::filesystem::path& file,
                                             const std::vector<NamedTensor>& tensors);

/// The whole file into `image`, host memory of layout.bytes bytes; `tensors` are those of the layout, on any device.
void fill_safetensors(const SafetensorsLayout& layout, const std::vector<NamedTensor>& tensors, void* image);

}  // namespace plumbline
