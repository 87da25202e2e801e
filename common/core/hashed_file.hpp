// Large files that are hashed on their way to the disk, and that may be given up in the middle.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace plumbline {

/// As write_file_atomically (files.hpp); the SHA-256 of `bytes`, lower-case hex. `go_on` is asked before each block of
/// some megabytes and before the file gets its name: when it says no, a run error, and `path` is as it was before.
Result<std::string> write_file_hashed(const std::filesystem::path& path, std::string_view bytes,
                                      const std::function<bool()>& go_on);

}  // namespace plumbline
