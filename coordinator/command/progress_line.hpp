// How far a command is, on standard error: one line that is written over on a terminal, else a line every ten seconds.
#pragma once
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

namespace plumbline {

class ProgressLine {
 public:
  /// `what` stands before the numbers: "sampled for" 3 of 9 sources.
  explicit ProgressLine(std::string what) : what_(std::move(what)) {}

  /// The last line is that with done == all; without `all` that of finish().
  void show(std::int64_t done, std::optional<std::int64_t> all) {
    const auto now = std::chrono::steady_clock::now();
    if (first_ < 0) first_ = done;
    const bool is_last = done == all;
    if (!is_terminal_ && !is_last && now - shown_ < std::chrono::seconds(10)) return;
    if (finished_) return;
    finished_ = is_last;
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - began_).count();
    const double rate = seconds > 0 ? static_cast<double>(done - first_) / seconds : 0;
    std::string line = fmt::format("{} {}{} sources", what_, done, all ? fmt::format(" of {}", *all) : "");
    if (rate > 0 && !is_last) {
      line += fmt::format(", {:.0f} a second", rate);
      if (all) line += fmt::format(", {:.0f} s left", static_cast<double>(*all - done) / rate);
    }
    std::fprintf(stderr, is_terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
    if (is_terminal_ && is_last) std::fputc('\n', stderr);
    std::fflush(stderr);
  }
  void finish(std::int64_t done) { show(done, done); }

 private:
  const std::string what_;
  const bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now(), shown_;
  std::int64_t first_ = -1;
  bool finished_ = false;
};

}  // namespace plumbline
