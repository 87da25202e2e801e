#include "coordinator/command/watch.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "common/core/files.hpp"
#include "coordinator/command/watch_view.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

constexpr int kBetweenLooksMs = 1000;
/// Of a long run only the end is read.
constexpr std::streamoff kMostBytes = 32 << 20;

volatile std::sig_atomic_t interrupted = 0;

/// The losses of training steps, read on from where the last look ended.
class LossReader {
 public:
  explicit LossReader(fs::path file) : file_(std::move(file)) {}
  const LossCurves& read() {
    std::ifstream in(file_, std::ios::binary);
    in.seekg(0, std::ios::end);
    const std::streamoff end = in ? static_cast<std::streamoff>(in.tellg()) : 0;
    if (end < at_) *this = LossReader(file_);  // another file
    bool cut = end - at_ > kMostBytes;
    if (cut) at_ = end - kMostBytes;
    in.seekg(at_);
    for (std::string line; std::getline(in, line) && !in.eof();) {
      at_ += static_cast<std::streamoff>(line.size()) + 1;
      if (!std::exchange(cut, false)) take(line);
    }
    return curves_;
  }

 private:
  void take(const std::string& text) {
    const auto line = parse_json(text, "");
    if (line.has_error() || line->value("kind", Json()) != "train" || !line->value("step", Json()).is_number_integer())
      return;
    const auto step = line->at("step").get<std::int64_t>();
    for (auto& [norm, steps] : steps_)  // After a restart a step stands twice, and the later line counts.
      while (!steps.empty() && steps.back() >= step) steps.pop_back(), curves_[norm].pop_back();
    const Json norms = line->value("norms", Json::object());
    for (const auto& [norm, numbers] : norms.items()) {
      const Json loss = numbers.is_object() ? numbers.value("loss", Json()) : Json();
      if (!loss.is_number()) continue;
      steps_[norm].push_back(step);
      curves_[norm].push_back(loss.get<double>());
    }
  }

  fs::path file_;
  std::streamoff at_ = 0;
  std::map<std::string, std::vector<std::int64_t>> steps_;
  LossCurves curves_;
};

/// The journal's lines, read again when there are more.
class EventReader {
 public:
  explicit EventReader(fs::path file) : file_(std::move(file)) {}
  const std::vector<JournalEntry>& read() {
    std::error_code ignored;
    const auto bytes = fs::file_size(file_, ignored);
    if (bytes == bytes_) return entries_;
    if (auto entries = read_journal(file_); entries.has_value()) entries_ = std::move(*entries), bytes_ = bytes;
    return entries_;
  }

 private:
  fs::path file_;
  std::uintmax_t bytes_ = 0;
  std::vector<JournalEntry> entries_;
};

bool speaks_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string text = value;
    return text.find("UTF-8") != std::string::npos || text.find("utf8") != std::string::npos;
  }
  return false;
}

Screen screen_of(int terminal) {
  Screen screen;
  winsize size{};
  if (::ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0)
    screen.columns = size.ws_col, screen.rows = size.ws_row;
  screen.utf8 = speaks_utf8();
  return screen;
}

/// Draws over what it drew before. Lines are not wrapped while it draws: a character may be wider than one column.
class Painter {
 public:
  void paint(const std::vector<std::string>& lines, const Screen& screen) {
    std::string out = "\033[?7l";
    const bool resized = drawn_ > 0 && (screen.columns != columns_ || screen.rows != rows_);
    if (resized)
      out += "\033[H\033[2J";
    else if (drawn_ > 0)
      out += "\r\033[" + std::to_string(drawn_) + "A";
    for (const std::string& line : lines) out += line + "\033[K\n";
    out += "\033[J\033[?7h";
    std::fputs(out.c_str(), stdout);
    drawn_ = lines.size(), columns_ = screen.columns, rows_ = screen.rows;
  }

 private:
  std::size_t drawn_ = 0, columns_ = 0, rows_ = 0;
};

/// What is no terminal gets lines, each when there is something new.
class Lines {
 public:
  void print(const Json& status, const std::vector<JournalEntry>& events) {
    const std::size_t begin = events_ > 0 ? events_ : events.size();  // Those before the first look are past.
    for (std::size_t i = begin; i < events.size(); ++i) std::printf("%s\n", event_text(events[i]).c_str());
    events_ = events.size();
    std::string line = watch_line(status);
    if (line == line_) return;
    line_ = std::move(line);
    std::printf("%s\n", line_.c_str());
  }

 private:
  std::size_t events_ = 0;
  std::string line_;
};

/// SIGINT ends the watch and not the program in the middle of a line.
class InterruptGuard {
 public:
  InterruptGuard() {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    interrupted = 0;
    ::sigaction(SIGINT, &action, &before_);
  }
  ~InterruptGuard() { ::sigaction(SIGINT, &before_, nullptr); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_ {};
};

/// False when it is time to end: SIGINT came, or the reader has gone.
bool wait_for_next_look() {
  std::array<pollfd, 1> out{pollfd{STDOUT_FILENO, 0, 0}};
  ::poll(out.data(), out.size(), kBetweenLooksMs);
  return interrupted == 0 && (out[0].revents & (POLLERR | POLLNVAL)) == 0;
}

}  // namespace

Status watch_run(const RunLayout& layout, const std::function<Result<Json>()>& look, bool json) {
  const InterruptGuard guard;
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  LossReader losses(layout.metrics());
  EventReader events(layout.journal());
  Painter painter;
  Lines lines;
  Json before;
  do {
    PLUMBLINE_ASSIGN(const Json status, look());
    Json now = without_clocks(status);
    if (json && now != before) std::printf("%s\n", to_line(status).c_str());
    if (!json && is_terminal) {
      const Screen screen = screen_of(STDOUT_FILENO);
      painter.paint(watch_screen(status, losses.read(), events.read(), screen), screen);
    }
    if (!json && !is_terminal) lines.print(status, events.read());
    before = std::move(now);
    if (std::fflush(stdout) != 0 || is_over(status)) break;
  } while (wait_for_next_look());
  return {};
}

}  // namespace plumbline
