#include "coordinator/curate/simulation.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

extern char** environ;

namespace plumbline {

namespace {

namespace fs = std::filesystem;

constexpr int kMissing = 6;  ///< simulate.py's exit status without msasim
constexpr std::size_t kMaxComplaint = 64u << 10;

fs::path home() {
  const char* home = std::getenv("PLUMBLINE_HOME");
  return fs::path(home != nullptr ? home : PLUMBLINE_SOURCE_DIR);
}

fs::path python() {
  if (const char* python = std::getenv("PLUMBLINE_PYTHON")) return python;
  if (const char* venv = std::getenv("PLUMBLINE_VENV")) return fs::path(venv) / "bin" / "python";
  return home() / ".venv" / "bin" / "python";
}

Error missing(const std::string& message) {
  return environment_error(
      message, "",
      "`./plumbline setup` installs it, or by hand: python3 -m venv .venv && .venv/bin/pip install -r "
      "coordinator/curate/requirements.txt. PLUMBLINE_PYTHON names another Python.");
}

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }
  [[nodiscard]] int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

/// Owns posix_spawn's list of what the child does to its descriptors.
class SpawnActions {
 public:
  SpawnActions() { posix_spawn_file_actions_init(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }
  [[nodiscard]] posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

struct Outcome {
  int status = 0;         ///< as waitpid gives it
  std::string complaint;  ///< the end of what the child wrote to its standard error
};

std::string drain(int fd) {
  std::string text;
  std::array<char, 4096> chunk{};
  while (true) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    if (text.size() > 2 * kMaxComplaint) text.erase(0, text.size() - kMaxComplaint);
  }
}

/// Runs a program with nothing on its standard input and waits for it.
Result<Outcome> run(const std::vector<std::string>& words) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return environment_error(std::string("no pipe can be opened: ") + std::strerror(errno));
  Descriptor reading(ends[0]), writing(ends[1]);
  SpawnActions actions;
  posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(actions.get(), STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(actions.get(), writing.get(), STDERR_FILENO);
  std::vector<std::string> copies = words;
  std::vector<char*> arguments;
  for (std::string& word : copies) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  if (const int error = ::posix_spawn(&child, arguments[0], actions.get(), nullptr, arguments.data(), environ))
    return missing("simulated evolution needs Python with msasim, and " + words[0] +
                   " cannot be started: " + std::strerror(error));
  writing.close();
  Outcome outcome;
  outcome.complaint = drain(reading.get());
  while (::waitpid(child, &outcome.status, 0) < 0 && errno == EINTR) {
  }
  return outcome;
}

/// Python's own last word on an error.
std::string last_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  const auto start = text.rfind('\n');
  return start == std::string::npos ? text : text.substr(start + 1);
}

Json pair(double low, double high) { return Json::array({low, high}); }
Json pair(const Range& range) { return pair(range.low, range.high); }
Json pair(int low, int high) { return Json::array({low, high}); }

}  // namespace

Json simulation_parameters(const SimulateFormat& format, std::uint64_t seed) {
  return {{"seed", seed},
          {"examples", format.examples},
          {"sequences", pair(format.min_sequences, format.max_sequences)},
          {"model", format.model},
          {"gamma_alpha", format.gamma_alpha},
          {"gamma_categories", format.gamma_categories},
          {"root_length", pair(format.min_root_length, format.max_root_length)},
          {"branch_length", pair(format.branch_length)},
          {"insertion_rate", pair(format.insertion_rate)},
          {"deletion_rate", pair(format.deletion_rate)},
          {"zipf_exponent", pair(format.zipf_exponent)},
          {"max_indel_length", format.max_indel_length},
          {"split_opposite_charges", format.split_opposite_charges}};
}

Status simulate(const Json& parameters, const fs::path& out) {
  const fs::path script = home() / "coordinator" / "curate" / "simulate.py";
  PLUMBLINE_ASSIGN(const Outcome outcome, run({python().string(), script.string(), to_line(parameters), out.string()}));
  if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == 0) return {};
  if (WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == kMissing)
    return missing("simulated evolution needs the Python package msasim, and " + python().string() +
                   " has none: " + last_line(outcome.complaint));
  if (WIFSIGNALED(outcome.status))
    return run_error("the simulation was ended by signal " + std::to_string(WTERMSIG(outcome.status)));
  return run_error("the simulation failed: " + last_line(outcome.complaint), script.string());
}

}  // namespace plumbline
