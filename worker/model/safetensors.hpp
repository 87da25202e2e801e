// The safetensors format: u64 little-endian header length, JSON header, tensor bytes. Written with tensors in the order
// given, no run-specific metadata ("format":"pt" only), tensor bytes from a 64-byte boundary and without gaps (the
// format forbids them), so equal tensors give equal files. Errors: data errors name the file and the tensor. Safe on
// any input; may be called from any thread.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline {
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};
/// Whole or absent (write_file_atomically). Names must differ; dtypes as read_safetensors.
Status write_safetensors(const std::filesystem::path& file, const std::vector<NamedTensor>& tensors);
/// CPU tensors (fresh, aligned memory). F32, F16, BF16, I64. Bounds are checked before any allocation; a truncated file
/// or a tensor that reaches outside it is a data error naming file and tensor.
Result<std::map<std::string, at::Tensor>> read_safetensors(const std::filesystem::path& file);
}  // namespace plumbline
