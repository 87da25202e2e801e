#include "coordinator/command/log_view.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <utility>

#include "coordinator/command/coordinator_host.hpp"
#include "coordinator/journal/journal.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

/// How long a line can stay unseen where the kernel says nothing of it: written by another host to a shared file
/// system.
constexpr int kPollMs = 200;

/// Collects lines and hands them on in few writes.
class Printer {
 public:
  explicit Printer(int out) : out_(out) {}
  void add(const std::string& line) { buffer_ += line; }
  [[nodiscard]] bool worth_writing() const { return buffer_.size() >= (64U << 10); }
  /// False when the reader has gone.
  Result<bool> flush() {
    std::string_view rest = buffer_;
    while (!rest.empty()) {
      const ssize_t n = ::write(out_, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EPIPE) return false;
      if (n < 0)
        return environment_error(fmt::format("the lines cannot be written: {}", std::strerror(errno)),
                                 "standard output");
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    buffer_.clear();
    return true;
  }

 private:
  int out_;
  std::string buffer_;
};

std::string shown(const LogMerge::Line& line) {
  const char* space = line.line.time.empty() ? "" : " ";
  return fmt::format("{}{}[{}] {}\n", line.line.time, space, line.label, line.line.text);
}

/// Prints what is there; with `newest`, its last lines. False when the reader has gone.
Result<bool> print_all(LogMerge& merge, Printer& printer, const LogView& view, Unfinished unfinished,
                       std::optional<std::size_t> newest) {
  PLUMBLINE_TRY(merge.discover());
  std::deque<std::string> kept;
  while (const auto line = merge.next(unfinished)) {
    if (line->line.level < view.level) continue;
    if (newest) {
      kept.push_back(shown(*line));
      if (kept.size() > *newest) kept.pop_front();
      continue;
    }
    printer.add(shown(*line));
    if (!printer.worth_writing()) continue;
    PLUMBLINE_ASSIGN(const bool read, printer.flush());
    if (!read) return false;
  }
  for (const std::string& line : kept) printer.add(line);
  return printer.flush();
}

/// Wakes a follower when a log, or the run directory itself, changes.
class Watch {
 public:
  explicit Watch(const RunLayout& layout) : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    constexpr std::uint32_t kChanges = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE;
    // Without inotify (its limits are per user) the follower looks every kPollMs all the same.
    if (fd_ < 0) return;
    ::inotify_add_watch(fd_, layout.logs().c_str(), kChanges);
    ::inotify_add_watch(fd_, layout.root().c_str(), kChanges);
  }
  ~Watch() {
    if (fd_ >= 0) ::close(fd_);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  /// Returns on a change or after a while; false when the reader of `out` has gone.
  [[nodiscard]] bool wait(int out) const {
    std::array<pollfd, 2> fds{pollfd{out, 0, 0}, pollfd{fd_, POLLIN, 0}};
    ::poll(fds.data(), fds.size(), kPollMs);
    alignas(inotify_event) std::array<char, 4096> events;
    while (fd_ >= 0 && ::read(fd_, events.data(), events.size()) > 0) {
    }
    return (fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0;
  }

 private:
  int fd_;
};

/// Tells when nothing more will come.
class RunEnd {
 public:
  explicit RunEnd(const RunLayout& layout) : layout_(layout) {}
  /// The reason; nothing while a coordinator serves the run, or is about to.
  std::optional<std::string> reason() {
    look_at_journal();
    const std::string& outcome = outcome_;
    const auto address = read_address(layout_);
    if (address.has_value()) {
      if (!is_on_this_host(*address)) {
        if (outcome.empty()) return std::nullopt;  // A process there cannot be looked at from here.
      } else if (::kill(static_cast<pid_t>(address->pid), 0) == 0 || errno != ESRCH) {
        return std::nullopt;
      }
    }
    const std::string resume = fmt::format("; go on with `plumbline resume {}`", layout_.root().string());
    if (outcome == "finished") return "the run has finished";
    if (outcome == "stopped") return "the run is stopped" + resume;
    if (outcome == "failed") return "the run has failed" + resume;
    if (address.has_value()) return "the run's coordinator is gone" + resume;
    if (was_served_ && !is_held(layout_)) return "the run is interrupted: nobody serves it" + resume;
    return std::nullopt;  // It is starting.
  }

 private:
  /// Reads the journal only when it has grown: a follower asks many times a second.
  void look_at_journal() {
    std::error_code ignored;
    const auto bytes = fs::file_size(layout_.journal(), ignored);
    if (bytes == journal_bytes_) return;
    const auto entries = read_journal(layout_.journal());
    if (entries.has_error()) return;
    outcome_ = replay(*entries).outcome;
    was_served_ = std::any_of(entries->begin(), entries->end(),
                              [](const JournalEntry& entry) { return entry.event == "coordinator_started"; });
    journal_bytes_ = bytes;
  }

  const RunLayout& layout_;
  std::uintmax_t journal_bytes_ = 0;
  std::string outcome_;
  bool was_served_ = false;
};

}  // namespace

Status view_logs(const RunLayout& layout, const LogView& view, int out) {
  std::error_code ignored;
  if (!fs::exists(layout.journal(), ignored))
    return data_error("there is no run here", layout.root().string(), "Name a directory that `plumbline train` made.");
  LogMerge merge(layout.logs(), view.rank);
  Printer printer(out);
  const auto unfinished = view.follow ? Unfinished::kLeave : Unfinished::kTake;
  const Watch watch(layout);  // Before the first reading, so that no change falls between.
  PLUMBLINE_ASSIGN(bool read, print_all(merge, printer, view, unfinished, view.newest));
  RunEnd end(layout);
  while (view.follow && read) {
    const auto over = end.reason();
    PLUMBLINE_ASSIGN(read,
                     print_all(merge, printer, view, over ? Unfinished::kTake : Unfinished::kLeave, std::nullopt));
    if (!read) break;
    if (over) {
      std::fprintf(stderr, "plumbline: %s\n", over->c_str());
      break;
    }
    read = watch.wait(out);
  }
  return {};
}

}  // namespace plumbline
