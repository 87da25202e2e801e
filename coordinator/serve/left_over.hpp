// What a kill in the middle of a write leaves in a run directory: the hidden file beside the one that was being written
// (write_file_atomically). Nobody reads such files, and each is as large as what it was to become.
#pragma once
#include <filesystem>
#include <vector>

#include "common/record/run_layout.hpp"

namespace plumbline {

/// Removes the files that were beside config.yaml, coordinator.json and report.html and beside those of evaluation/,
/// snapshots/ and reference/: by the names that our writers give them alone, `.NAME.0123456789abcdef.tmp` and
/// `.NAME.partial`, and returns what was removed, sorted. For one who serves the run, while none of its workers lives.
/// A report's of the last minute stays: `plumbline report` may be writing it.
std::vector<std::filesystem::path> remove_left_over_files(const RunLayout& layout);

}  // namespace plumbline
