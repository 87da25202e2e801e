// A dataset folder is whole or absent: it is made under another name beside its place and renamed when it is done. Its
// maker holds a lock on it, so that the folder of a call that was killed is known for what it is.
#pragma once
#include <filesystem>

#include "common/core/file_descriptor.hpp"
#include "common/core/result.hpp"

namespace plumbline {

class Staging {
 public:
  /// A new, empty folder beside `out`. A usage error when something is at `out` that may not be replaced: anything but
  /// an empty folder, or with `replace` anything but a dataset. What interrupted calls for `out` left is removed, and
  /// the log says so.
  static Result<Staging> make(const std::filesystem::path& out, bool replace);
  Staging(Staging&& other) noexcept;
  Staging& operator=(Staging&&) = delete;
  /// Removes the folder unless it was committed.
  ~Staging();

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  /// Puts the folder in place of what is at `out`. On an error what was there is there again.
  Status commit();

 private:
  Staging(std::filesystem::path out, std::filesystem::path folder, FileDescriptor lock);
  std::filesystem::path out_, folder_;
  FileDescriptor lock_;
};

}  // namespace plumbline
