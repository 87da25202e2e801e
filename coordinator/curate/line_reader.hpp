// Lines of a text file, plain or gzipped, one at a time: memory does not depend on the file's size. Checks what every
// importer needs: UTF-8, and a bound on the length of a line. Errors are data errors that name file:line.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace plumbline {

inline constexpr std::size_t kMaxLineBytes = 4u << 20;

class LineReader {
 public:
  static Result<LineReader> open(const std::filesystem::path& file);
  /// Over this process's standard input, plain; a line is given as soon as it is there. One at a time.
  static LineReader standard_input();
  /// Over `text`, which must outlive the reader; `name` stands for the file in errors.
  static LineReader over(std::string_view text, std::string name);
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;
  ~LineReader();

  /// The next line without its end ("\n" or "\r\n"; a byte order mark at the start of the file is no part of it), valid
  /// until the next call; nothing at the end of the file.
  Result<std::optional<std::string_view>> next();
  /// Number of the line that next() gave last, from 1.
  [[nodiscard]] std::int64_t line() const { return line_; }
  [[nodiscard]] const std::string& file() const { return name_; }
  /// "polite.jsonl:7".
  [[nodiscard]] std::string where() const { return where(line_); }
  [[nodiscard]] std::string where(std::int64_t line) const { return name_ + ":" + std::to_string(line); }

 private:
  class Bytes;
  class FileBytes;
  class StandardInputBytes;
  class MemoryBytes;
  LineReader(std::unique_ptr<Bytes> bytes, std::string name);
  /// Reads on behind what is pending; false at the end of the file.
  Result<bool> fill();

  std::unique_ptr<Bytes> bytes_;
  std::string name_, buffer_;
  std::size_t start_ = 0;  ///< of the pending line in buffer_
  bool ended_ = false;
  std::int64_t line_ = 0;
};

}  // namespace plumbline
