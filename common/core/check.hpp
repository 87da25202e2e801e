// PLUMBLINE_CHECK(condition, message): a bug, not an expected failure. Prints rank, place and message, then aborts.
#pragma once
#include <string>

namespace plumbline {
/// Set once by a worker so that a failed check names its rank; -1 (the default) prints none.
void set_check_rank(int rank);
[[noreturn]] void check_failed(const char* condition, const char* file, int line, const std::string& message);
}  // namespace plumbline

#define PLUMBLINE_CHECK(condition, message) \
  (static_cast<bool>(condition) ? void(0) : ::plumbline::check_failed(#condition, __FILE__, __LINE__, (message)))
