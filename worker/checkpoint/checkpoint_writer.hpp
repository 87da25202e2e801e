// Writes checkpoints beside training: a thread of its own, of low priority, takes a copy of this rank's parts to the
// disk while the thread that computes takes steps. One checkpoint at a time: whoever wants to begin another waits until
// this one is written (the wait for its commit is the caller's, too).
//
// A checkpoint whose generation is over is given up: once give_up() returns, nothing more is reported. Its file in the
// making goes; whole files stay for the coordinator, which removes what a generation left behind. The report is called
// on the writer's thread; everything else is for the thread that computes.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "common/core/result.hpp"
#include "worker/checkpoint/checkpoint.hpp"

namespace plumbline {

class CheckpointWriter {
 public:
  CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  /// Gives up what is being written.
  ~CheckpointWriter();

  /// Makes room for the copies of a rank's checkpoints, so that the first one takes no longer than the others; not
  /// while the thread is still busy. Errors as CheckpointCopy::reserve.
  Status prepare(const CheckpointSource& source, int rank, int world);
  /// Copies the rank's parts as they are now; from when it returns they are written into `folder`. Waits for the thread
  /// where it is not done with what was before. An error is of the copy; what becomes of the files, failure() says.
  Status begin(const std::filesystem::path& folder, const CheckpointSource& source, const CheckpointState& state,
               int rank, int world, PartReport report);
  /// What went wrong with what was begun last, so far. Nothing once it is given up.
  [[nodiscard]] Status failure() const;
  /// Waits until what was begun last is written, or `interrupted` says yes; then as failure().
  Status wait(const std::function<bool()>& interrupted) const;
  void give_up();
  /// Grows with every block that is written: a slow disk is told from one that hangs.
  [[nodiscard]] std::uint64_t blocks() const { return blocks_; }

 private:
  void run();
  /// What the thread does next; waits until it has nothing to do. On the thread that computes.
  void start(std::function<Status()> work);
  void wait_until_idle() const;
  [[nodiscard]] bool goes_on();
  Status tell(const WrittenPart& part, const PartReport& report) const;

  CheckpointCopy copy_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::function<Status()> work_;  ///< until it is done
  Status outcome_;                ///< of the work that was done last
  bool given_up_ = false, leaving_ = false;
  std::atomic<std::uint64_t> blocks_ = 0;
  std::thread thread_;
};

}  // namespace plumbline
