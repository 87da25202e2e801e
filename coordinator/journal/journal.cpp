// The journal as a file: one lock, whole lines, each on disk before anyone hears of it.
#include "coordinator/journal/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "common/core/clock.hpp"
#include "common/core/files.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

/// Who only asks whether the journal is held (is_held) has its lock for an instant.
constexpr int kAttempts = 5;
constexpr std::chrono::milliseconds kBetweenAttempts{10};

Error system_error_at(const fs::path& path, const char* what) {
  const int error = errno;
  const std::string message = fmt::format("{}: {}", what, std::strerror(error));
  if (error == EROFS) return environment_error(message, path.string(), "Have the file system mounted for writing.");
  return run_error(message, path.string());
}

/// All bytes or an errno.
int write_whole(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return ENOSPC;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

}  // namespace

Result<Journal> Journal::open(const RunLayout& layout) {
  const fs::path path = layout.journal();
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (!file) return system_error_at(path, "the journal cannot be opened");
  for (int attempt = 0; ::flock(file.get(), LOCK_EX | LOCK_NB) != 0; ++attempt) {
    if (errno != EWOULDBLOCK) return system_error_at(path, "the journal cannot be locked");
    if (attempt == kAttempts) return served_already(layout);
    std::this_thread::sleep_for(kBetweenAttempts);
  }
  PLUMBLINE_ASSIGN(Claim claim, Claim::lay(layout));
  Journal journal(path, std::move(file), std::move(claim));
  PLUMBLINE_TRY(journal.load());
  PLUMBLINE_TRY(fsync_path(path.parent_path()));
  return journal;
}

/// The order is what makes it safe: claim, read, put the copy in place. Killed in between, the old journal stands.
Result<Journal> Journal::take_over(const RunLayout& layout) {
  const fs::path path = layout.journal();
  const auto holder = read_address(layout);
  PLUMBLINE_ASSIGN(Claim claim, Claim::lay(layout));
  PLUMBLINE_ASSIGN(const std::string text, read_file(path, kMaxJournalBytes));
  const fs::path copy = layout.root() / (".journal.jsonl." + to_hex(random_bytes(4)) + ".new");
  FileDescriptor file(::open(copy.c_str(), O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file) return system_error_at(copy, "the journal cannot be copied");
  const bool copied = ::flock(file.get(), LOCK_EX | LOCK_NB) == 0 && write_whole(file.get(), text) == 0 &&
                      ::fsync(file.get()) == 0 && ::rename(copy.c_str(), path.c_str()) == 0;
  if (!copied) {
    const Error error = system_error_at(copy, "the journal cannot be copied");
    ::unlink(copy.c_str());
    return error;
  }
  PLUMBLINE_TRY(fsync_path(path.parent_path()));
  Journal journal(path, std::move(file), std::move(claim));
  PLUMBLINE_TRY(journal.load());
  const bool known = holder.has_value();
  PLUMBLINE_TRY(journal.append("run_taken_over", {{"pid", known ? Json(holder->pid) : Json()},
                                                  {"hostname", known ? Json(holder->hostname) : Json()}}));
  return journal;
}

Status Journal::load() {
  PLUMBLINE_ASSIGN(const std::string text, read_file(path_, kMaxJournalBytes));
  PLUMBLINE_ASSIGN(JournalText journal, parse_journal(text, path_.string()));
  bytes_ = static_cast<std::int64_t>(journal.whole_bytes);
  entries_ = std::move(journal.entries);
  if (journal.whole_bytes == text.size()) return {};
  if (::ftruncate(file_.get(), bytes_) != 0 || ::fsync(file_.get()) != 0)
    return system_error_at(path_, "the journal's cut last line cannot be dropped");
  return {};
}

Status Journal::append(const std::string& event, Json data) {
  JournalEntry entry{static_cast<std::int64_t>(entries_.size()) + 1, utc_now(), event, std::move(data)};
  const std::string line = journal_line(entry);
  if (line.size() > kMaxJournalLineBytes ||
      bytes_ + static_cast<std::int64_t>(line.size()) > static_cast<std::int64_t>(kMaxJournalBytes))
    return run_error(fmt::format("the event {} does not fit into the journal", event), path_.string());
  if (const int failed = write_whole(file_.get(), line); failed != 0) return undo(failed);
  if (::fsync(file_.get()) != 0) return undo(errno);
  PLUMBLINE_TRY(claim_.check());
  bytes_ += static_cast<std::int64_t>(line.size());
  entries_.push_back(std::move(entry));
  return {};
}

/// Takes back what a failed write may have left. Where even that fails, opening the journal drops the line.
Error Journal::undo(int errno_of_write) {
  static_cast<void>(::ftruncate(file_.get(), bytes_) == 0 && ::fsync(file_.get()) == 0);
  const bool full = errno_of_write == ENOSPC || errno_of_write == EDQUOT;
  return run_error(
      full ? "the disk is full" : fmt::format("the journal cannot be written: {}", std::strerror(errno_of_write)),
      path_.string(), full ? fmt::format("Make room, then `plumbline resume {}`.", path_.parent_path().string()) : "");
}

Error served_already(const RunLayout& layout) {
  std::string who = "another process";
  if (const auto address = read_address(layout); address.has_value() && address->pid > 0)
    who = fmt::format("process {}{}", address->pid, address->hostname.empty() ? "" : " on " + address->hostname);
  return usage_error(
      "a coordinator serves this run already: " + who, layout.root().string(),
      fmt::format("Watch it with `plumbline status {0}`, or stop it with `plumbline stop {0}`. Where it hangs "
                  "or its host is lost: plumbline resume {0} --take-over",
                  layout.root().string()));
}

bool is_held(const RunLayout& layout) {
  const FileDescriptor journal(::open(layout.journal().c_str(), O_RDONLY | O_CLOEXEC));
  return journal && ::flock(journal.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

Result<std::vector<JournalEntry>> read_journal(const fs::path& file) {
  PLUMBLINE_ASSIGN(const std::string text, read_file(file, kMaxJournalBytes));
  PLUMBLINE_ASSIGN(JournalText journal, parse_journal(text, file.string()));
  return std::move(journal.entries);
}

}  // namespace plumbline
