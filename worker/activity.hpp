// What this process is doing, for its heartbeat: whether it gets further, and whom it waits for. The thread that trains
// writes, the session's thread reads; a group that stands still is told from one that is slow by these, and the rank at
// fault from those that wait for it.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace plumbline {

class Activity {
 public:
  struct Seen {
    std::uint64_t work = 0;      ///< pieces of work so far, 1 from the start: it only grows
    std::uint64_t calls = 0;     ///< collective calls begun in the present group
    std::string waits_in;        ///< what is waited in: a collective call's name, "the coordinator", or nothing
    std::vector<int> waits_for;  ///< ranks whose bytes the call has not got yet, where the collective knows
    std::string last_call;       ///< name of the newest collective call
  };

  /// What is being computed, for whoever has to say what there was no memory for.
  struct Work {
    std::string stage = "starting";
    std::int64_t step = 0;                        ///< that was taken last
    std::int64_t sources = 0, source_tokens = 0;  ///< of the newest pass over sources in this stage, padded to so many
    std::int64_t outputs = 0, output_tokens = 0;  ///< of the newest pass over outputs since then
  };

  /// One more piece of work is done: a pass through the model, a file.
  void advance() { work_.fetch_add(1, std::memory_order_relaxed); }
  /// A new group of workers: its calls are counted from 0, so that ranks can be compared.
  void begin_group();
  [[nodiscard]] Seen look() const;
  void begin_stage(const std::string& stage, std::int64_t step);
  void reads_sources(std::int64_t rows, std::int64_t tokens);
  void writes_outputs(std::int64_t rows, std::int64_t tokens);
  [[nodiscard]] Work work() const;

  /// For as long as it lives the thread waits for others.
  class Wait {
   public:
    explicit Wait(const char* in);
    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
  };
  /// … in a collective call.
  class Call {
   public:
    explicit Call(const char* name);

   private:
    Wait wait_;
  };
  /// Inside a call: whose bytes are still to come.
  void wait_for(const std::vector<int>& ranks);

 private:
  std::atomic<std::uint64_t> work_{1};
  mutable std::mutex mutex_;
  std::uint64_t calls_ = 0;
  std::string waits_in_, last_call_;
  Work doing_;
  std::vector<int> waits_for_;
};

/// Of this process.
Activity& activity();

}  // namespace plumbline
