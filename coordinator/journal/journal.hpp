// The run's journal: journal.jsonl, append-only, one JSON object a line:
//   {"seq":7,"time":"2026-11-24T10:24:13.123456Z","event":"checkpoint_committed","data":{…},"crc":"…"}
// `crc` is the XXH3-64 (16 hex digits) of the line without it. A line is on disk (fsync) before append() returns, so
// whatever the coordinator has told anyone can be read back after a crash. A last line that a crash cut is dropped when
// the journal is opened for writing; a broken line before the last is a data error, since something else wrote there.
//
// Events: run_created, coordinator_started, generation_started, generation_ended, worker_lost, checkpoint_committed,
// snapshot_aggregated, evaluated, stop_requested, run_stopped, run_finished, run_failed. docs/formats.md lists their
// data. Steps are not events: metrics.jsonl has them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/json.hpp"
#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

struct JournalEntry {
  std::int64_t seq = 0;
  std::string time, event;
  Json data = Json::object();
};

/// One writer at a time: opening takes an exclusive lock (flock) on the journal that lasts as long as the object.
class Journal {
 public:
  /// Opens (making it when absent) for append; reads what is there. A usage error, naming the coordinator's pid where
  /// coordinator.json has one, when another process holds the lock.
  static Result<Journal> open(const RunLayout& layout);
  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&&) = delete;
  ~Journal();
  Status append(const std::string& event, Json data);
  [[nodiscard]] const std::vector<JournalEntry>& entries() const { return entries_; }

 private:
  Journal(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::filesystem::path path_;
  int fd_ = -1;
  std::vector<JournalEntry> entries_;
};

/// Reads without the lock, also while a coordinator writes: a cut last line is passed over. Bounded line length.
Result<std::vector<JournalEntry>> read_journal(const std::filesystem::path& file);

struct CommittedCheckpoint {
  Step step;
  std::string weights_sha256;
};
/// What the journal says of a run, by replaying it. Pure.
struct RunRecord {
  Generation generation;                          ///< newest that started; 0 when none
  std::optional<CommittedCheckpoint> checkpoint;  ///< newest that was committed
  std::string fingerprint;                        ///< of the first generation's workers; empty when none joined yet
  std::string outcome;                            ///< "", "stopped", "finished" or "failed" (of the newest start)
};
RunRecord replay(const std::vector<JournalEntry>& entries);

}  // namespace plumbline
