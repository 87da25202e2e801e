// The safetensors format: u64 little-endian header length, JSON header, tensor bytes. Written with tensors in a fixed
// order, no run-specific metadata ("format":"pt" only), data 64-byte aligned, so equal tensors give equal files.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "worker/torch_pch.hpp"

namespace plumbline {
struct NamedTensor { std::string name; at::Tensor tensor; };
Status write_safetensors(const std::filesystem::path& file, const std::vector<NamedTensor>& tensors);
/// CPU tensors (fresh, aligned memory). F32, F16, BF16, I64. Bounds are checked before any allocation; a truncated file or a tensor that
/// reaches outside it is a data error naming file and tensor.
Result<std::map<std::string, at::Tensor>> read_safetensors(const std::filesystem::path& file);
}  // namespace plumbline
