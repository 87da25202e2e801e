#include "worker/stacks.hpp"

#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/stacktrace.hpp>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fstream>
#include <sstream>
#include <vector>

#include "common/core/files.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostFrames = 100;
constexpr std::int64_t kAnswerMilliseconds = 500;

/// One thread is asked at a time. Who answers too late finds another's turn, and leaves it alone.
struct Question {
  std::array<void*, kMostFrames + 1> frames{};
  std::atomic<pid_t> asked{0};
  sem_t answered{};
};
Question question;

pid_t this_thread() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

void answer(int) {
  const int before = errno;
  pid_t expected = this_thread();
  if (question.asked.compare_exchange_strong(expected, -expected)) {
    boost::stacktrace::safe_dump_to(question.frames.data(), sizeof question.frames);
    ::sem_post(&question.answered);
  }
  errno = before;
}

std::string read_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string stack_of(pid_t thread) {
  question.frames.fill(nullptr);
  question.asked = thread;
  if (::syscall(SYS_tgkill, ::getpid(), thread, SIGUSR2) != 0) return "it has ended\n";
  timespec until{};
  ::clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += kAnswerMilliseconds * 1'000'000;
  until.tv_sec += until.tv_nsec / 1'000'000'000, until.tv_nsec %= 1'000'000'000;
  int waited = 0;
  do waited = ::sem_timedwait(&question.answered, &until);
  while (waited != 0 && errno == EINTR);
  pid_t still = thread;
  if (waited != 0 && question.asked.compare_exchange_strong(still, 0)) return "it does not answer\n";
  if (waited != 0) ::sem_wait(&question.answered);  // It had just begun.
  question.asked = 0;
  std::ostringstream text;
  text << boost::stacktrace::stacktrace::from_dump(question.frames.data(), sizeof question.frames);
  return text.str();
}

}  // namespace

void prepare_for_stacks() {
  ::sem_init(&question.answered, 0, 0);
  // The first walk loads what unwinding needs, which no handler may do.
  static_cast<void>(boost::stacktrace::stacktrace());
  struct sigaction action {};
  action.sa_handler = answer;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR2, &action, nullptr);
}

Status write_stacks(const fs::path& file, const std::string& heading) {
  std::string text = heading + "\n";
  std::error_code ec;
  for (fs::directory_iterator task("/proc/self/task", ec), end; !ec && task != end; task.increment(ec)) {
    const auto thread = static_cast<pid_t>(std::stol(task->path().filename().string()));
    const std::string name = read_line(task->path() / "comm"), waits = read_line(task->path() / "wchan");
    if (thread == this_thread()) continue;
    text += "\nthread " + std::to_string(thread) + " (" + name + "), kernel: " + waits + "\n" + stack_of(thread);
  }
  fs::create_directories(file.parent_path(), ec);
  return write_file_atomically(file, text);
}

}  // namespace plumbline
