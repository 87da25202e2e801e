// How far a command is, on standard error: one line that is written over on a terminal, else a line every ten seconds.
#pragma once
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

namespace plumbline {

class ProgressLine {
 public:
  /// `what` stands before the numbers: "sampled for" 3 of 9 sources.
  explicit ProgressLine(std::string what) : what_(std::move(what)) {}

  /// The last line is that with done == all.
  void show(std::int64_t done, std::int64_t all) {
    if (!is_due(done, done == all)) return;
    const double rate = rate_of(done);
    std::string line = fmt::format("{} {} of {} sources", what_, done, all);
    if (rate > 0 && done != all)
      line += fmt::format(", {:.0f} a second, {:.0f} s left", rate, static_cast<double>(all - done) / rate);
    print(line);
  }
  /// Where nobody knows of how many; the last line is that of finish().
  void show(std::int64_t done) {
    if (is_due(done, false)) print(fmt::format("{} {} sources, {:.0f} a second", what_, done, rate_of(done)));
  }
  void finish(std::int64_t done) {
    if (is_due(done, true)) print(fmt::format("{} {} sources", what_, done));
  }

 private:
  bool is_due(std::int64_t done, bool is_last) {
    const auto now = std::chrono::steady_clock::now();
    if (first_ < 0) first_ = done;
    if (finished_ || (!is_terminal_ && !is_last && now - shown_ < std::chrono::seconds(10))) return false;
    finished_ = is_last;
    shown_ = now;
    return true;
  }
  [[nodiscard]] double rate_of(std::int64_t done) const {
    const double seconds = std::chrono::duration<double>(shown_ - began_).count();
    return seconds > 0 ? static_cast<double>(done - first_) / seconds : 0;
  }
  void print(const std::string& line) const {
    std::fprintf(stderr, is_terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
    if (is_terminal_ && finished_) std::fputc('\n', stderr);
    std::fflush(stderr);
  }

  const std::string what_;
  const bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now(), shown_ = began_;
  std::int64_t first_ = -1;
  bool finished_ = false;
};

}  // namespace plumbline
