// What the commands that train have in common on their command lines.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/serve/run.hpp"

namespace plumbline {

/// The items of `--set key=value`; one without a key or an equals sign is a usage error.
Result<std::vector<Override>> parse_overrides(const std::vector<std::string>& set);

/// `key` set to exactly this text, whatever YAML would read in it.
Override text_override(std::string key, const std::string& text);

/// runs/ and the configuration's name; a usage error when that names no directory.
Result<std::filesystem::path> default_run_directory(const RunConfig& config);

/// The end of a run, on standard output: step, weights_sha256, report.
void print_outcome(const RunLayout& layout, const RunOutcome& outcome);

}  // namespace plumbline
