#include "worker/checkpoint/checkpoint_writer.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace plumbline {

namespace {

/// How often a wait looks whether it is interrupted.
constexpr std::chrono::milliseconds kLook{20};
/// So much nicer than training: a tenth of a core that training wants too, all of one that it does not want.
constexpr int kNicer = 10, kNicest = 19;

/// Of this thread alone, for the processor and (where the disk's scheduler looks at it) for the disk. Where it is not
/// allowed nothing is lost but training's first claim.
void lower_priority() {
  constexpr int kOneThread = 1;                   // IOPRIO_WHO_PROCESS
  constexpr int kBestEffortLast = (2 << 13) | 7;  // IOPRIO_CLASS_BE, the lowest of its levels
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  const int nice = ::getpriority(PRIO_PROCESS, thread);
  static_cast<void>(::setpriority(PRIO_PROCESS, thread, std::min(nice + kNicer, kNicest)));
  static_cast<void>(::syscall(SYS_ioprio_set, kOneThread, static_cast<int>(thread), kBestEffortLast));
}

}  // namespace

CheckpointWriter::CheckpointWriter() : thread_([this] { run(); }) {}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    given_up_ = leaving_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CheckpointWriter::run() {
  lower_priority();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return work_ || leaving_; });
    if (!work_) return;
    lock.unlock();
    Status outcome;
    try {
      outcome = work_();
    } catch (const std::exception& e) {
      outcome = run_error(std::string("a library failed: ") + e.what(), "checkpoint");
    }
    lock.lock();
    work_ = nullptr;
    outcome_ = given_up_ ? Status() : std::move(outcome);
    changed_.notify_all();
  }
}

void CheckpointWriter::wait_until_idle() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !work_; });
}

void CheckpointWriter::start(std::function<Status()> work) {
  {
    const std::lock_guard lock(mutex_);
    outcome_ = Status();
    given_up_ = false;
    work_ = std::move(work);
  }
  changed_.notify_all();
}

/// Asked before each block.
bool CheckpointWriter::goes_on() {
  ++blocks_;
  const std::lock_guard lock(mutex_);
  return !given_up_;
}

/// Under the lock, so that nothing is on its way once give_up() returns.
Status CheckpointWriter::tell(const WrittenPart& part, const PartReport& report) const {
  const std::lock_guard lock(mutex_);
  if (given_up_) return run_error("the checkpoint was given up", part.file);
  return report(part);
}

Status CheckpointWriter::prepare(const CheckpointSource& source, int rank, int world) {
  {
    const std::lock_guard lock(mutex_);
    if (work_) return {};
  }
  PLUMBLINE_TRY(copy_.reserve(source, rank, world));
  start([this]() -> Status {
    copy_.touch([this] { return goes_on(); });
    return {};
  });
  return {};
}

Status CheckpointWriter::begin(const std::filesystem::path& folder, const CheckpointSource& source,
                               const CheckpointState& state, int rank, int world, PartReport report) {
  wait_until_idle();
  PLUMBLINE_TRY(copy_.take(source, state, rank, world));
  start([this, folder, report = std::move(report)] {
    return write_parts(
        folder, copy_, [&](const WrittenPart& part) { return tell(part, report); }, [this] { return goes_on(); });
  });
  return {};
}

Status CheckpointWriter::failure() const {
  const std::lock_guard lock(mutex_);
  return outcome_;
}

Status CheckpointWriter::wait(const std::function<bool()>& interrupted) const {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kLook, [&] { return !work_; }))
    if (interrupted()) break;
  return outcome_;
}

void CheckpointWriter::give_up() {
  const std::lock_guard lock(mutex_);
  given_up_ = true;
  outcome_ = Status();
}

}  // namespace plumbline
