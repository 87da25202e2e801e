// A file mapped read-only. Stays valid after the file is removed or replaced; a file that is cut short while it is
// mapped ends the process that reads it (SIGBUS), which is why shards are written beside and renamed, never in place.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "common/core/result.hpp"

namespace plumbline {

class Mapping {
 public:
  /// A data error naming the file when it cannot be opened or mapped.
  static Result<Mapping> map(const std::filesystem::path& file);
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping();
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  Mapping(const std::byte* data, std::size_t size) : data_(data), size_(size) {}
  const std::byte* data_ = nullptr;  ///< nullptr: nothing is mapped
  std::size_t size_ = 0;
};

}  // namespace plumbline
