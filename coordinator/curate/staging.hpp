// A dataset folder is whole or absent: it is made under another name beside its place and renamed when it is done.
#pragma once
#include <filesystem>

#include "common/core/result.hpp"

namespace plumbline {

class Staging {
 public:
  /// A new, empty folder beside `out`. A usage error when something is at `out` that may not be replaced: anything but
  /// an empty folder, or with `replace` anything but a dataset.
  static Result<Staging> make(const std::filesystem::path& out, bool replace);
  Staging(Staging&& other) noexcept;
  Staging& operator=(Staging&&) = delete;
  /// Removes the folder unless it was committed.
  ~Staging();

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  /// Puts the folder in place of what is at `out`. On an error what was there is there again.
  Status commit();

 private:
  Staging(std::filesystem::path out, std::filesystem::path folder);
  std::filesystem::path out_, folder_;
};

}  // namespace plumbline
