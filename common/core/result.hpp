// Expected failures are values. `Result<T>` holds a T or an Error that says what went wrong, where (file, line or
// key) and what the user can do about it. Bugs are not errors: they are PLUMBLINE_CHECK (check.hpp).
// Third-party exceptions are caught at the adapter that calls the library and become an Error there.
#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace plumbline {

/// What kind of failure this is. The value is the exit status of the command that meets it.
enum class ErrorCode : int {
  kUsage = 2,        ///< the command line or configuration is wrong
  kData = 3,         ///< the data is wrong
  kRun = 4,          ///< the run failed
  kStopped = 5,      ///< stopped by request, resumable
  kEnvironment = 6,  ///< the machine lacks something
};

struct Error {
  ErrorCode code = ErrorCode::kRun;
  std::string message;  ///< what is wrong, one sentence without a final period's worth of jargon
  std::string where;    ///< "file:line", "file: key train.steps", … ; empty when there is no such place
  std::string hint;     ///< what to do about it; empty when the message says it all
};

/// "where: message\n  hint" as a person reads it, without a trailing newline.
std::string to_string(const Error& error);

template <class T>
using Result = boost::system::result<T, Error>;
using Status = Result<void>;

/// Thrown by Result::value() on an error: only main() and tests call value() unchecked.
class ErrorException : public std::runtime_error {
 public:
  explicit ErrorException(Error e) : std::runtime_error(to_string(e)), error(std::move(e)) {}
  Error error;
};
[[noreturn]] inline void throw_exception_from_error(const Error& e, const boost::source_location&) {
  throw ErrorException(e);
}

inline Error usage_error(std::string message, std::string where = {}, std::string hint = {}) {
  return {ErrorCode::kUsage, std::move(message), std::move(where), std::move(hint)};
}
inline Error data_error(std::string message, std::string where = {}, std::string hint = {}) {
  return {ErrorCode::kData, std::move(message), std::move(where), std::move(hint)};
}
inline Error run_error(std::string message, std::string where = {}, std::string hint = {}) {
  return {ErrorCode::kRun, std::move(message), std::move(where), std::move(hint)};
}
inline Error environment_error(std::string message, std::string where = {}, std::string hint = {}) {
  return {ErrorCode::kEnvironment, std::move(message), std::move(where), std::move(hint)};
}

#define PLUMBLINE_CONCAT_INNER(a, b) a##b
#define PLUMBLINE_CONCAT(a, b) PLUMBLINE_CONCAT_INNER(a, b)

/// Evaluate a Status or Result; on an error return it from the enclosing function.
#define PLUMBLINE_TRY(expression) \
  if (auto&& plumbline_status = (expression); !plumbline_status.has_value()) return std::move(plumbline_status).error()

/// `PLUMBLINE_ASSIGN(auto x, f());` declares x from f()'s value, or returns f()'s error.
#define PLUMBLINE_ASSIGN(declaration, expression)                            \
  auto&& PLUMBLINE_CONCAT(plumbline_result_, __LINE__) = (expression);       \
  if (!PLUMBLINE_CONCAT(plumbline_result_, __LINE__).has_value())            \
    return std::move(PLUMBLINE_CONCAT(plumbline_result_, __LINE__)).error(); \
  declaration = std::move(PLUMBLINE_CONCAT(plumbline_result_, __LINE__)).value()

}  // namespace plumbline
