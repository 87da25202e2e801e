// `plumbline status RUN --watch`: looks again and again until nobody serves the run, or Ctrl-C.
#pragma once
#include <functional>

#include "common/core/json.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

/// `look` answers with a status. On a terminal the screen is redrawn in place; otherwise a line is printed whenever
/// something has changed, and one an event; with `json` the status as one line whenever it has changed. Ends with the
/// run's last status, quietly on SIGINT and when nobody reads the standard output any longer.
Status watch_run(const RunLayout& layout, const std::function<Result<Json>()>& look, bool json);

}  // namespace plumbline
