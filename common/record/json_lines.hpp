// The JSON-lines files of a run: one object a line. Bounded: a line may have 16 MiB, a file 1 GiB.
#pragma once
#include <filesystem>
#include <functional>

#include "common/core/json.hpp"
#include "common/core/result.hpp"

namespace plumbline {

/// What a last line without its newline means.
enum class LastLine {
  kMayBeCut,     ///< a crash can cut it in a file that is appended to: passed over
  kMustBeWhole,  ///< nothing can in a file that is written at once: a data error
};

/// Calls `take(object, "file:line")` for each line in order, until it returns an error.
Status for_each_json_line(const std::filesystem::path& file, LastLine last_line,
                          const std::function<Status(Json object, const std::string& where)>& take);

}  // namespace plumbline
