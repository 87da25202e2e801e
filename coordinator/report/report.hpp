// report.html: one self-contained page (Chart.js embedded, no network) made from a run directory alone.
#pragma once
#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {
/// Works on finished, stopped and running runs: what is not there yet is said to be missing. Written atomically.
Status write_report(const RunLayout& layout);
}  // namespace plumbline
