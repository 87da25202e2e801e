// Lines of a run's logs (common/core/log.hpp), read as they grow and merged by time. Memory does not depend on the size
// of the logs: each file has one chunk and one line in hand.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace plumbline {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError };
std::optional<LogLevel> parse_log_level(std::string_view name);  ///< "INFO" or "info"

struct LogLine {
  std::string time;  ///< as in the file; of the line before where this one has none (the rest of a longer message)
  LogLevel level = LogLevel::kInfo;
  std::string text;  ///< what follows the time
};

/// A line of one of our logs, or nothing when it does not start with a time and a level.
std::optional<LogLine> parse_log_line(std::string_view line);

/// What to do with bytes after the last line feed: they may still become a longer line.
enum class Unfinished { kLeave, kTake };

/// One log file. Lines longer than kMaxLineBytes are cut. A file that has shrunk is read from its start again.
class LogFile {
 public:
  static constexpr std::size_t kMaxLineBytes = 64 << 10;
  static Result<std::unique_ptr<LogFile>> open(const std::filesystem::path& path, std::string label);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  [[nodiscard]] const std::string& label() const { return label_; }
  /// The next line that is there, without waiting.
  std::optional<LogLine> next(Unfinished unfinished);

 private:
  LogFile(int fd, std::string label) : fd_(fd), label_(std::move(label)) {}
  bool fill();
  std::optional<std::string> next_text(Unfinished unfinished);
  int fd_;
  std::string label_;
  std::int64_t offset_ = 0;  ///< in the file, after what is in chunk_
  std::string chunk_;
  std::size_t at_ = 0;  ///< in chunk_
  std::string line_;    ///< begun, not ended
  std::string time_;
  LogLevel level_ = LogLevel::kInfo;
};

/// The logs of a run in the order of their times. Files that appear later join in.
class LogMerge {
 public:
  /// `rank`: that worker's alone; otherwise the coordinator's and all workers'.
  LogMerge(std::filesystem::path logs, std::optional<int> rank) : logs_(std::move(logs)), rank_(rank) {}
  struct Line {
    const std::string& label;  ///< "coordinator", "rank 3"
    LogLine line;
  };
  /// Looks for files that are new since the last call.
  Status discover();
  /// The earliest line in hand. Nothing: everything that is there has been given.
  std::optional<Line> next(Unfinished unfinished);

 private:
  struct Source {
    std::unique_ptr<LogFile> file;
    std::optional<LogLine> line;
  };
  std::filesystem::path logs_;
  std::optional<int> rank_;
  std::vector<std::string> known_;
  std::vector<Source> sources_;
};

}  // namespace plumbline
