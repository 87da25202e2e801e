// The HDF5 C API behind small RAII types, for shards, snapshots and caches. Errors become Error values that name the
// file; HDF5's own error stack is silenced. Not thread-safe (libhdf5 is not): callers on several threads serialise.
#pragma once
#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/core/result.hpp"

namespace plumbline {

/// Owns one hid_t and closes it with the right function for its kind.
class H5Handle {
 public:
  H5Handle() = default;
  explicit H5Handle(hid_t id) : id_(id) {}
  H5Handle(H5Handle&& other) noexcept : id_(other.id_) { other.id_ = -1; }
  H5Handle& operator=(H5Handle&& other) noexcept;
  H5Handle(const H5Handle&) = delete;
  H5Handle& operator=(const H5Handle&) = delete;
  ~H5Handle();
  [[nodiscard]] hid_t get() const { return id_; }
  [[nodiscard]] explicit operator bool() const { return id_ >= 0; }

 private:
  hid_t id_ = -1;
};

template <class T> hid_t h5_type();  ///< native memory type of T: u8, u16, i32, i64, u64, f32, f64

class H5File {
 public:
  static Result<H5File> create(const std::filesystem::path& path);     ///< truncates
  static Result<H5File> open(const std::filesystem::path& path);       ///< read-only
  template <class T>
  Status write(const std::string& dataset, const std::vector<T>& values, std::vector<std::uint64_t> shape = {});
  template <class T>
  Result<std::vector<T>> read(const std::string& dataset) const;
  [[nodiscard]] Result<std::vector<std::uint64_t>> shape(const std::string& dataset) const;
  [[nodiscard]] bool exists(const std::string& path) const;
  [[nodiscard]] std::vector<std::string> members(const std::string& group) const;
  Status write_attribute(const std::string& name, const std::string& value);   ///< on the root group, UTF-8
  Status write_attribute(const std::string& name, std::int64_t value);
  [[nodiscard]] Result<std::string> text_attribute(const std::string& name) const;
  [[nodiscard]] Result<std::int64_t> int_attribute(const std::string& name) const;
  /// Offset of a contiguous dataset's bytes in the file, for mapping; an error when it is not contiguous.
  [[nodiscard]] Result<std::uint64_t> file_offset(const std::string& dataset) const;
  Status flush_and_close();

 private:
  H5Handle file_;
  std::filesystem::path path_;
};

}  // namespace plumbline
