// What describe() found, for a person: plain text in aligned columns.
#pragma once
#include <string>

#include "common/core/json.hpp"

namespace plumbline {

/// `description` is what describe() returned.
std::string to_text(const Json& description);

}  // namespace plumbline
