// The JSON-lines files of a run: one object a line, of 16 MiB at most.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "common/core/json.hpp"
#include "common/core/result.hpp"

namespace plumbline {

/// What a last line without its newline means.
enum class LastLine {
  kMayBeCut,     ///< a crash can cut it in a file that is appended to: passed over
  kMustBeWhole,  ///< nothing can in a file that is written at once: a data error
};

/// Calls `take(object, "name:line")` for each line in order, until it returns an error.
using TakeLine = std::function<Status(Json object, const std::string& where)>;
Status for_each_json_line(std::string_view text, const std::string& name, LastLine last_line, const TakeLine& take);

}  // namespace plumbline
