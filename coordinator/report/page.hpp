// The page: the template with its style, scripts and data put in place. Pure.
#pragma once
#include <string>

#include "common/core/json.hpp"

namespace plumbline {

/// JSON as it may stand inside a <script> element: no '<' is left, so nothing in it can end the element or open a
/// comment; broken UTF-8 becomes U+FFFD.
std::string script_safe(const Json& json);
/// The whole of report.html. `title` is escaped here.
std::string render_page(const std::string& title, const Json& data);

}  // namespace plumbline
