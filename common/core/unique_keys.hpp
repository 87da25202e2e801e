// JSON that people write: a key that stands twice in one object is a mistake there, of which JSON itself would silently
// keep the last.
#pragma once
#include <string>
#include <string_view>

#include "common/core/json.hpp"

namespace plumbline {

/// As parse_json (json.hpp), and a data error that names the key where one stands twice in an object, however deep.
/// `where`: file and line.
Result<Json> parse_json_of_unique_keys(std::string_view text, const std::string& where);

}  // namespace plumbline
