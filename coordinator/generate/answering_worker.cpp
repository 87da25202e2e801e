#include "coordinator/generate/answering_worker.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "coordinator/launch/process.hpp"

namespace plumbline {

namespace {

constexpr const char* kWorker = "plumbline-worker";
constexpr std::size_t kLogTailBytes = 2000;

struct Pipe {
  FileDescriptor reading, writing;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return environment_error(std::string("no pipe can be made: ") + std::strerror(errno), kWorker);
  return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

std::string tail_of(int file) {
  const off_t size = ::lseek(file, 0, SEEK_END);
  const off_t start = std::max<off_t>(0, size - static_cast<off_t>(kLogTailBytes));
  std::string tail(static_cast<std::size_t>(std::max<off_t>(0, size - start)), '\0');
  const ssize_t got = ::pread(file, tail.data(), tail.size(), start);
  tail.resize(static_cast<std::size_t>(std::max<ssize_t>(0, got)));
  return start > 0 ? "…" + tail : tail;
}

Error failed(const GroupExit& exit, const FileDescriptor& log) {
  const std::string said = tail_of(log.get());
  return run_error("the worker " + exit.description + (said.empty() ? "" : ":\n" + said), kWorker);
}

}  // namespace

Result<AnsweringWorker> AnsweringWorker::start(const GenerationTask& task, int threads) {
  const std::filesystem::path program = worker_program();
  PLUMBLINE_TRY(check_worker_program(program));
  AnsweringWorker worker;
  worker.log_ = FileDescriptor(::memfd_create("plumbline-generate-log", MFD_CLOEXEC));
  if (!worker.log_)
    return environment_error(std::string("no memory file can be made: ") + std::strerror(errno), kWorker);
  PLUMBLINE_ASSIGN(Pipe to, make_pipe());
  PLUMBLINE_ASSIGN(Pipe from, make_pipe());
  ProcessSpec spec;
  spec.argv = {program.string(), "--generate", "--threads", std::to_string(threads), "--log-level", "warn"};
  spec.environment = worker_environment("generate");
  spec.log = "/proc/self/fd/" + std::to_string(worker.log_.get());
  spec.input = to.reading.get();
  spec.output = from.writing.get();
  PLUMBLINE_ASSIGN(worker.process_, start_process(spec));
  worker.to_worker_ = std::move(to.writing);
  worker.from_worker_ = std::move(from.reading);
  to.reading.close();
  from.writing.close();  // Now the pipe ends when the worker does.
  PLUMBLINE_TRY(worker.send(to_json(task)));
  PLUMBLINE_ASSIGN(const Json ready, worker.receive());
  if (!ready.contains("ready")) return run_error("it says something else than that it is ready", kWorker);
  return worker;
}

Result<std::vector<Answer>> AnsweringWorker::answer(const SourceWindow& window, const std::function<void()>& answered) {
  PLUMBLINE_TRY(send(to_json(window)));
  std::vector<std::optional<Answer>> answers(window.sources.size());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    PLUMBLINE_ASSIGN(const Json json, receive());
    PLUMBLINE_ASSIGN(Answer answer, answer_from_json(json, kWorker));
    if (answer.source < 0 || answer.source >= std::ssize(answers) ||
        answers[static_cast<std::size_t>(answer.source)].has_value())
      return run_error("it answers a source that it was not asked", kWorker);
    answers[static_cast<std::size_t>(answer.source)] = std::move(answer);
    answered();
  }
  std::vector<Answer> all;
  for (auto& answer : answers) all.push_back(std::move(*answer));
  return all;
}

Status AnsweringWorker::finish() {
  to_worker_.close();
  const GroupExit exit = process_->wait();
  if (exit.status != 0) return failed(exit, log_);
  return {};
}

Status AnsweringWorker::send(const Json& json) {
  const std::string line = to_line(json) + "\n";
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(to_worker_.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int reason = errno;
      PLUMBLINE_TRY(receive());  // It ended, and may have said why.
      return run_error(std::string("nothing can be said to it: ") + std::strerror(reason), kWorker);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<Json> AnsweringWorker::receive() {
  std::size_t end = 0;
  while ((end = received_.find('\n', searched_)) == std::string::npos) {
    searched_ = received_.size();
    std::array<char, 1 << 16> block{};
    const ssize_t got = ::read(from_worker_.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return this->end();
    received_.append(block.data(), static_cast<std::size_t>(got));
  }
  const std::string line = received_.substr(0, end);
  received_.erase(0, end + 1);
  searched_ = 0;
  PLUMBLINE_ASSIGN(Json json, parse_json(line, kWorker));
  if (json.is_object() && json.contains("error")) return error_from_json(json, kWorker);
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

Error AnsweringWorker::end() { return failed(process_->wait(), log_); }

}  // namespace plumbline
