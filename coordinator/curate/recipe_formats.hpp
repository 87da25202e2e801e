// The formats that a recipe's sources may have. Private to recipe.cpp.
#pragma once
#include <string>
#include <vector>

#include "common/config/yaml_reader.hpp"
#include "coordinator/curate/recipe.hpp"

namespace plumbline {

/// Names a recipe may write after `format:`.
const std::vector<std::string>& format_names();
/// Whether the format reads a file or folder (and so takes a path).
bool reads_files(const std::string& format);
/// Reads the keys that belong to `format` alone; the caller reads the others and calls finish().
Result<Format> read_format(const std::string& format, YamlMap& source);

}  // namespace plumbline
