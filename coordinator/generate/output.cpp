#include "coordinator/generate/output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "common/core/check.hpp"
#include "common/core/files.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

/// The file that a signal removes; null: none.
std::atomic<const char*> unfinished_file{nullptr};

extern "C" void remove_unfinished(int number) {
  if (const char* name = unfinished_file.load()) ::unlink(name);
  ::signal(number, SIG_DFL);
  ::raise(number);
}

/// What is ignored stays ignored (nohup).
void remove_on_signals() {
  for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = remove_unfinished;
    ::sigaction(number, &action, nullptr);
  }
}

std::string one_line(const std::string& text) {
  std::string line;
  for (const char c : text) line += c == '\n' ? "\\n" : c == '\r' ? "\\r" : std::string(1, c);
  return line;
}

}  // namespace

std::string lines_of(const std::string& source, const Answer& answer, LineForm form) {
  std::string lines;
  for (std::size_t i = 0; i < answer.outputs.size(); ++i) {
    const WrittenOutput& output = answer.outputs[i];
    if (form == LineForm::kPlain) {
      lines += one_line(output.text) + "\n";
      continue;
    }
    Json line{{"source", source}, {"output", output.text}, {"complete", output.complete}};
    if (output.score) line["score"] = *output.score;
    if (answer.outputs.size() > 1) line["sample"] = i;
    if (answer.cut) line["cut"] = true;
    lines += to_line(line) + "\n";
  }
  return lines;
}

Output::Output(fs::path place, fs::path unfinished, FileDescriptor file)
    : place_(std::move(place)), unfinished_(std::move(unfinished)), file_(std::move(file)) {
  if (!unfinished_.empty()) unfinished_file = unfinished_.c_str();
}

Output::Output(Output&& other) noexcept
    : place_(std::move(other.place_)),
      unfinished_(std::exchange(other.unfinished_, {})),
      file_(std::move(other.file_)) {
  if (!unfinished_.empty()) unfinished_file = unfinished_.c_str();
}

Output::~Output() {
  if (unfinished_.empty()) return;
  ::unlink(unfinished_.c_str());
  unfinished_file = nullptr;
}

Result<Output> Output::open(const std::string& out, bool replace) {
  if (out == "-") {
    FileDescriptor own(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    if (!own)
      return environment_error(std::string("it cannot be written: ") + std::strerror(errno), "standard output",
                               "Name a file with --out.");
    return Output({}, {}, std::move(own));
  }
  const fs::path place = out;
  std::error_code ec;
  if (const auto there = fs::status(place, ec); fs::exists(there)) {
    if (!fs::is_regular_file(there))
      return usage_error("this is no file", out, "Name a file with --out, or leave it out to write to a pipe.");
    if (!replace) return usage_error("the file is there already", out, "Name another, or give --replace.");
  }
  const fs::path folder = place.has_parent_path() ? place.parent_path() : fs::path(".");
  fs::create_directories(folder, ec);  // open() below says what is wrong.
  const fs::path unfinished = folder / ("." + place.filename().string() + "." + to_hex(random_bytes(8)) + ".tmp");
  FileDescriptor file(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file)
    return environment_error(std::string("the file cannot be written: ") + std::strerror(errno), out,
                             "Choose a folder that you may write to.");
  remove_on_signals();
  return Output(place, unfinished, std::move(file));
}

Result<bool> Output::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EPIPE) return false;
    if (written < 0)
      return run_error(std::string("the outputs cannot be written: ") + std::strerror(errno),
                       unfinished_.empty() ? "standard output" : place_.string());
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

Status Output::commit() {
  if (unfinished_.empty()) return {};
  PLUMBLINE_CHECK(static_cast<bool>(file_), "an output is committed once");
  const bool synced = ::fsync(file_.get()) == 0;
  const int reason = synced ? file_.close() : errno;
  if (reason != 0)
    return run_error(std::string("the outputs cannot be written: ") + std::strerror(reason), place_.string());
  std::error_code ec;
  fs::rename(unfinished_, place_, ec);
  if (ec) return run_error("the file cannot be put in its place: " + ec.message(), place_.string());
  unfinished_file = nullptr;
  unfinished_.clear();
  return fsync_path(place_.has_parent_path() ? place_.parent_path() : fs::path("."));
}

}  // namespace plumbline
