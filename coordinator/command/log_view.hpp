// What `plumbline logs` does, apart from its command line: prints a run's merged logs to a descriptor and follows them.
#pragma once
#include <cstddef>
#include <optional>

#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/command/log_lines.hpp"

namespace plumbline {

struct LogView {
  std::optional<int> rank;            ///< this worker alone
  LogLevel level = LogLevel::kTrace;  ///< the least that is shown
  std::optional<std::size_t> newest;  ///< of what is there at first, only this many lines
  bool follow = false;                ///< then wait for more, as long as a coordinator serves the run
};

/// Each line as "TIME [rank 1] LEVEL message". Returns when all is printed or nobody reads `out` any longer; following
/// ends when no coordinator serves the run, with a note on the standard error stream. Errors: kData when there is no
/// run, kEnvironment when `out` takes nothing (a full disk). SIGPIPE must be ignored.
Status view_logs(const RunLayout& layout, const LogView& view, int out);

}  // namespace plumbline
