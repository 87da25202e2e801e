// Logging: one line an event, to the standard error stream and (when told) to a file that `plumbline logs` merges.
// File line: "2026-11-24T10:24:13.123456Z LEVEL message" (UTC; LEVEL is one of TRACE DEBUG INFO WARN ERROR). Flushed
// line by line, so a follower sees a line at once. Use the SPDLOG functions (spdlog::info(...)) after init.
#pragma once
#include <filesystem>
#include <string>

#include "common/core/result.hpp"

namespace plumbline {
struct LogOptions {
  std::string level = "info";  ///< trace, debug, info, warn, error
  std::filesystem::path file;  ///< empty: no file; parent directory must exist; opened for append
  bool standard_error = true;  ///< also print "LEVEL message" to standard error
};
Status init_log(const LogOptions& options);
}  // namespace plumbline
