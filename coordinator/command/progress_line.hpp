// How far sampling is, on standard error: one line that is written over on a terminal, else a line every ten seconds.
#pragma once
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace plumbline {

class ProgressLine {
 public:
  void show(std::int64_t done, std::int64_t all) {
    const auto now = std::chrono::steady_clock::now();
    if (first_ < 0) first_ = done;
    const bool is_last = done == all;
    if (!is_terminal_ && !is_last && now - shown_ < std::chrono::seconds(10)) return;
    if (is_last && finished_) return;
    finished_ = is_last;
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - began_).count();
    const double rate = seconds > 0 ? static_cast<double>(done - first_) / seconds : 0;
    std::string line = fmt::format("sampled for {} of {} sources", done, all);
    if (rate > 0 && !is_last)
      line += fmt::format(", {:.0f} a second, {:.0f} s left", rate, static_cast<double>(all - done) / rate);
    std::fprintf(stderr, is_terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
    if (is_terminal_ && is_last) std::fputc('\n', stderr);
    std::fflush(stderr);
  }

 private:
  const bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now(), shown_;
  std::int64_t first_ = -1;
  bool finished_ = false;
};

}  // namespace plumbline
