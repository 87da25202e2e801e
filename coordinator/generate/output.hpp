// Where outputs go, and how their lines look. Room-internal.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "common/core/file_descriptor.hpp"
#include "common/core/result.hpp"
#include "common/data/generation.hpp"
#include "coordinator/generate/sources.hpp"

namespace plumbline {

/// The lines of one source, each with its line feed: one for each output. Plain: the text, in which a line feed becomes
/// \n and a carriage return \r (two characters each), so that a line stays a line; a backslash stays as it is. JSON: an
/// object with the exact text.
std::string lines_of(const std::string& source, const Answer& answer, LineForm form);

/// The standard output, or a file that is whole or absent: it is written under another name beside its place, and put
/// there by commit(). Without that the unfinished file is removed, by a signal that ends the process too. At most one
/// at a time.
class Output {
 public:
  /// `out` is a path, or "-" for the standard output. Usage errors: a file is there and may not be replaced, or
  /// something that is no file. An environment error when the file cannot be made.
  static Result<Output> open(const std::string& out, bool replace);
  Output(Output&& other) noexcept;
  Output& operator=(Output&&) = delete;
  ~Output();

  /// False when nobody reads the standard output any more (SIGPIPE must be ignored). A run error when it cannot be
  /// written.
  Result<bool> write(std::string_view bytes);
  Status commit();

 private:
  Output(std::filesystem::path place, std::filesystem::path unfinished, FileDescriptor file);
  std::filesystem::path place_, unfinished_;  ///< empty: the standard output
  FileDescriptor file_;
};

}  // namespace plumbline
