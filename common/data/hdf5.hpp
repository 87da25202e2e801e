// The HDF5 C API behind small RAII types, for shards, snapshots and caches. Errors become Error values that name the
// file; HDF5's own error stack is silenced. libhdf5 is not thread-safe, so every call here takes one process-wide lock:
// different files may be used from different threads, one file from one thread at a time.
//
// Only what Plumbline's formats use is read: contiguous datasets of exactly the expected element type, and single
// integers and strings as attributes of the root group. The same calls give the same bytes: no time stamps.
//
// libhdf5 can crash on a damaged file. So each file ends with a checksum of all that comes before (16 bytes that other
// readers pass over), and open() hands nothing to libhdf5 that does not match: every cut and every flipped byte is an
// Error. It is no defence against a file that was crafted with a matching checksum.
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

template <class T>
hid_t h5_type();  ///< native memory type of T: u8, u16, i32, i64, u64, f32, f64

/// Where a contiguous dataset's elements lie in its file; both are 0 for an empty one.
struct H5Extent {
  std::uint64_t offset = 0;  ///< bytes from the start of the file
  std::uint64_t count = 0;   ///< elements
};

class H5File {
 public:
  /// A file that is composed in memory; flush_and_close() puts it at `path`, whole or not at all.
  static Result<H5File> create(const std::filesystem::path& path);
  static Result<H5File> open(const std::filesystem::path& path);  ///< read-only

  /// Groups on the way to `dataset` are made. `shape` {} means one dimension.
  template <class T>
  Status write(const std::string& dataset, const std::vector<T>& values, std::vector<std::uint64_t> shape = {});
  Status write_attribute(const std::string& name, const std::string& value);  ///< on the root group, UTF-8
  Status write_attribute(const std::string& name, std::int64_t value);
  /// An error says "the disk is full" where that is the reason. For files from create() only.
  Status flush_and_close();

  template <class T>
  [[nodiscard]] Result<std::vector<T>> read(const std::string& dataset) const;
  /// For mapping the elements instead of reading them; checks type, layout and bounds like read().
  template <class T>
  [[nodiscard]] Result<H5Extent> extent(const std::string& dataset) const;
  [[nodiscard]] Result<std::vector<std::uint64_t>> shape(const std::string& dataset) const;
  [[nodiscard]] bool exists(const std::string& path) const;
  [[nodiscard]] std::vector<std::string> members(const std::string& group) const;  ///< names in order; {} when absent
  [[nodiscard]] Result<std::string> text_attribute(const std::string& name) const;
  [[nodiscard]] Result<std::int64_t> int_attribute(const std::string& name) const;

 private:
  H5Handle file_;
  std::filesystem::path path_;
};

}  // namespace plumbline
