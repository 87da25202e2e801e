#include "coordinator/launch/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <thread>
#include <utility>

#include "common/core/check.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

/// How often, and how long after each other, an ended process is asked whether a debugger has let go of it.
constexpr int kTracerLooks = 10;
constexpr std::chrono::milliseconds kTracerLook{10};
constexpr std::chrono::milliseconds kGrace{5000};

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { close(); }
  [[nodiscard]] int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

int open_pidfd(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

GroupExit describe(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {info.si_status, fmt::format("exited with status {}", info.si_status)};
  const char* name = sigabbrev_np(info.si_status);
  return {128 + info.si_status, name != nullptr ? fmt::format("was ended by SIG{}", name)
                                                : fmt::format("was ended by signal {}", info.si_status)};
}

/// A child process that leads a process group.
class ChildGroup final : public WorkerGroup {
 public:
  ChildGroup(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  ~ChildGroup() override {
    if (reaped_ || let_go_) return;
    terminate();
    if (!ends_within(kGrace)) kill();
    if (ends_within(kGrace))
      wait();  // Otherwise it hangs in the kernel; waiting longer would hang the coordinator too.
  }
  [[nodiscard]] int pidfd() const override { return pidfd_.get(); }
  [[nodiscard]] std::int64_t pid() const override { return pid_; }

  GroupExit wait() override {
    PLUMBLINE_CHECK(!reaped_, "a process is waited for once");
    siginfo_t info{};
    while (!ends_within(std::chrono::hours(1))) {
    }
    int waited = wait_for(info, WEXITED | WNOWAIT | WNOHANG);
    for (int i = 0; waited == 0 && info.si_pid == 0 && i < kTracerLooks; ++i) {
      std::this_thread::sleep_for(kTracerLook);
      waited = wait_for(info, WEXITED | WNOWAIT | WNOHANG);
    }
    // What the leader left behind in its group goes too. The number of the group is taken until the leader is reaped.
    kill();
    reaped_ = true;
    // Somebody who had attached to it, to see why it hung, must not hold up the run.
    if (waited == 0 && info.si_pid == 0) return {128 + SIGKILL, "has ended, and a debugger holds on to it"};
    if (waited == 0) waited = wait_for(info, WEXITED);
    if (waited != 0) return {1, fmt::format("ended in a way that cannot be told ({})", std::strerror(errno))};
    return describe(info);
  }
  void terminate() override {
    signal(SIGTERM);
    signal(SIGCONT);  // A stopped process acts on SIGTERM only when it goes on.
  }
  void kill() override { signal(SIGKILL); }
  void let_go() override { let_go_ = true; }

 private:
  void signal(int number) const {
    if (!reaped_) ::kill(-pid_, number);
  }
  int wait_for(siginfo_t& info, int options) const {
    int waited = 0;
    do waited = ::waitid(P_PID, static_cast<id_t>(pid_), &info, options);
    while (waited != 0 && errno == EINTR);
    return waited;
  }
  [[nodiscard]] bool ends_within(std::chrono::milliseconds limit) const {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      pollfd ended{pidfd_.get(), POLLIN, 0};
      const int ready = ::poll(&ended, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
      if (ready > 0) return true;
      if (ready == 0 || errno != EINTR) return false;
    }
  }

  pid_t pid_;
  Fd pidfd_;
  bool reaped_ = false, let_go_ = false;
};

/// Another process's child.
class AdoptedProcess final : public WorkerGroup {
 public:
  AdoptedProcess(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  ~AdoptedProcess() override {
    if (!let_go_) terminate();
  }
  [[nodiscard]] int pidfd() const override { return pidfd_.get(); }
  [[nodiscard]] std::int64_t pid() const override { return pid_; }
  GroupExit wait() override { return {128 + SIGKILL, "has ended"}; }
  void terminate() override { signal(SIGTERM); }
  void kill() override { signal(SIGKILL); }
  void let_go() override { let_go_ = true; }

 private:
  /// By the descriptor, which never means another process.
  void signal(int number) const {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
    if (number == SIGTERM) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGCONT, nullptr, 0);
  }
  pid_t pid_;
  Fd pidfd_;
  bool let_go_ = false;
};

/// Everything that the child needs, laid out before fork(): after it only async-signal-safe calls are allowed, since
/// another thread may have held any lock.
struct ChildPlan {
  std::vector<char*> argv, environment;
  int input = -1, output = -1, log = -1, failure = -1;
  pid_t parent = 0;
  bool outlives = false;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));  // exec's signature, not its deed
  out.push_back(nullptr);
  return out;
}

/// Ignored signals and the mask would pass through exec. SIGHUP stays as it is: nohup means the workers too.
void reset_signals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number)
    if (number != SIGHUP) ::sigaction(number, &action, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void become(const ChildPlan& plan) {
  ::setpgid(0, 0);
  reset_signals();
  if (!plan.outlives) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != plan.parent) ::_exit(128 + SIGTERM);  // It died before the line above.
  }
  if (::dup2(plan.input, STDIN_FILENO) >= 0 && ::dup2(plan.output, STDOUT_FILENO) >= 0 &&
      ::dup2(plan.log, STDERR_FILENO) >= 0) {
    // Also descriptors that a library opened without CLOEXEC. Kernels before 5.11 refuse; ours are marked anyway.
    constexpr unsigned kCloseRangeCloexec = 4;
    ::syscall(SYS_close_range, 3U, ~0U, kCloseRangeCloexec);
    ::execve(plan.argv[0], plan.argv.data(), plan.environment.data());
  }
  const int reason = errno;
  [[maybe_unused]] const ssize_t told = ::write(plan.failure, &reason, sizeof reason);
  ::_exit(127);
}

Error cannot(const std::string& what, const std::string& where) {
  return environment_error(fmt::format("{}: {}", what, std::strerror(errno)), where);
}

Result<Fd> open_log(const fs::path& path) {
  std::error_code ignored;  // open() below says what is wrong.
  fs::create_directories(path.parent_path(), ignored);
  Fd log(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (log.get() < 0) return cannot("the workers' output cannot be written", path.string());
  return log;
}

}  // namespace

Result<std::unique_ptr<WorkerGroup>> start_process(const ProcessSpec& spec) {
  PLUMBLINE_ASSIGN(const Fd log, open_log(spec.log));
  const Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (nothing.get() < 0) return cannot("it cannot be opened", "/dev/null");
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return cannot("no pipe can be made", spec.argv.at(0));
  const Fd failure(pipe[0]);
  Fd failure_writer(pipe[1]);

  const ChildPlan plan{pointers(spec.argv),
                       pointers(spec.environment),
                       spec.input >= 0 ? spec.input : nothing.get(),
                       spec.output >= 0 ? spec.output : log.get(),
                       log.get(),
                       failure_writer.get(),
                       ::getpid(),
                       spec.outlives};
  const pid_t pid = ::fork();
  if (pid < 0) return cannot("no process can be started", spec.argv.at(0));
  if (pid == 0) become(plan);
  ::setpgid(pid, pid);  // As the child does: whoever comes first, a signal to the group finds it.
  failure_writer.close();
  auto group = std::make_unique<ChildGroup>(pid, Fd(open_pidfd(pid)));
  if (group->pidfd() < 0) {
    const Error error = cannot("the kernel gives no pidfd (Linux 5.3 or newer does)", spec.argv.at(0));
    group->kill();
    group->wait();
    return error;
  }
  int reason = 0;
  ssize_t n = 0;
  do n = ::read(failure.get(), &reason, sizeof reason);  // Ends when exec closes the child's end.
  while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof reason)) {
    group->wait();
    errno = reason;
    return cannot("the program cannot be started", spec.argv.at(0));
  }
  return std::unique_ptr<WorkerGroup>(std::move(group));
}

Result<std::unique_ptr<WorkerGroup>> adopt_process(std::int64_t pid) {
  Fd pidfd(open_pidfd(static_cast<pid_t>(pid)));
  if (pidfd.get() < 0) return cannot("the process cannot be watched", std::to_string(pid));
  return std::unique_ptr<WorkerGroup>(std::make_unique<AdoptedProcess>(static_cast<pid_t>(pid), std::move(pidfd)));
}

std::vector<std::int64_t> living_workers(const fs::path& run) {
  std::error_code ec;
  std::vector<std::int64_t> living;
  const std::string sought = std::string("--join\0", 7) + fs::absolute(run, ec).lexically_normal().string() + '\0';
  for (fs::directory_iterator entry("/proc", ec), end; !ec && entry != end; entry.increment(ec)) {
    const std::string name = entry->path().filename().string();
    if (name.empty() || name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry->path() / "cmdline", std::ios::binary);
    const std::string words{std::istreambuf_iterator<char>(file), {}};
    const std::string program = words.substr(0, words.find('\0'));
    const bool is_worker = program.ends_with("plumbline-worker") && words.find("--worker") != std::string::npos;
    if (is_worker && words.find(sought) != std::string::npos) living.push_back(std::stoll(name));
  }
  return living;
}

std::vector<std::string> worker_environment(const std::string& group, KeepSlurm keep) {
  const bool inside_mpi = std::getenv("PMIX_RANK") != nullptr || std::getenv("OMPI_COMM_WORLD_RANK") != nullptr;
  constexpr std::array<std::string_view, 6> kLaunchers = {"OMPI_", "ORTE_", "PMIX_", "PMI_", "PRTE_", "SLURM_"};
  std::vector<std::string> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const bool of_launcher = std::any_of(kLaunchers.begin(), kLaunchers.end(),
                                         [&](std::string_view prefix) { return variable.starts_with(prefix); });
    if (keep == KeepSlurm::kYes && variable.starts_with("SLURM_")) {
      kept.emplace_back(variable);
      continue;
    }
    const bool personal = variable.starts_with("OMPI_MCA_") && !inside_mpi;
    if ((!of_launcher || personal) && !variable.starts_with("PLUMBLINE_GROUP=")) kept.emplace_back(variable);
  }
  kept.push_back("PLUMBLINE_GROUP=" + group);
  return kept;
}

std::optional<fs::path> find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(folder.size() + 1, rest.size()));
    std::error_code ignored;
    const fs::path candidate = fs::absolute(fs::path(folder.empty() ? "." : folder) / name, ignored);
    if (fs::is_regular_file(candidate, ignored) && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

std::string shell_quote(const std::vector<std::string>& words) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_-+=:,./";
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

}  // namespace plumbline
