// The run's journal: journal.jsonl, append-only, one JSON object a line:
//   {"seq":7,"time":"2026-11-24T10:24:13.123456Z","event":"checkpoint_committed","data":{…},"crc":"…"}
// `seq` counts lines from 1. `crc` is the XXH3-64 (seed 0, 16 lower-case hex digits) of the line's bytes with the
// member
// `,"crc":"…"` taken out and without the line feed; it always stands last. A line is on disk (fsync) before append()
// returns, so whatever the coordinator has told anyone can be read back after a crash. A last line that is not whole
// (cut, or with another checksum: a crash came before its fsync) is dropped when the journal is opened for writing; a
// broken line before the last is a data error, since something else wrote there.
//
// Events and their data (docs/formats.md explains them; replay() passes over what it does not know):
//   run_created {…}                          coordinator_started {…}               run_taken_over {pid, hostname}
//   configuration_changed {key: value, …}    generation_started {generation, world, launcher, group, fingerprint,
//   resume_from, start_step, reason} generation_ended {…}                     worker_lost {…} checkpoint_committed
//   {step, weights_sha256, generation} checkpoint_set_aside {step, weights_sha256, file, reason, moved_to, instead}
//   rate_measured {step, rate}               early_stop {step, rate, lowest_rate, lowest_step}
//   snapshot_aggregated {…}                  snapshot_missing {step}               evaluated {…}
//   stop_requested {…}
//   run_stopped {step}                       run_finished {…}                      run_failed {…}
// Steps are not events: metrics.jsonl has them.
//
// Errors: kData for a broken file, kUsage when another process writes, kRun when the system refuses a write.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/file_descriptor.hpp"
#include "common/core/ids.hpp"
#include "common/core/json.hpp"
#include "common/core/result.hpp"
#include "common/record/metrics.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/journal/claim.hpp"

namespace plumbline {

struct JournalEntry {
  std::int64_t seq = 0;
  std::string time, event;
  Json data = Json::object();
};

/// One writer at a time: opening takes an exclusive lock (flock) on the journal that lasts as long as the object, and
/// lays a claim (claim.hpp), which stands until another does. Not for use from several threads at once.
class Journal {
 public:
  /// Opens (making it when absent) for append; reads what is there. A usage error, naming the coordinator's pid where
  /// coordinator.json has one, when another process holds the lock.
  static Result<Journal> open(const RunLayout& layout);
  /// The same without asking for the lock, which a coordinator has that cannot be reached. It finds the claim before
  /// anybody hears of a line that it writes after this has read the journal; and what it still writes goes to a file
  /// without a name, as this one goes on in a copy. Says who had it in a line of its own.
  static Result<Journal> take_over(const RunLayout& layout);
  /// Writes the line and fsyncs it. On an error (full disk, …) the file is as it was before. Superseded: an error as
  /// claim().check(), and whether the line stands is the other coordinator's to say.
  Status append(const std::string& event, Json data);
  [[nodiscard]] const Claim& claim() const { return claim_; }
  [[nodiscard]] const std::vector<JournalEntry>& entries() const { return entries_; }

 private:
  Journal(std::filesystem::path path, FileDescriptor file, Claim claim)
      : path_(std::move(path)), file_(std::move(file)), claim_(std::move(claim)) {}
  Status load();
  Error undo(int errno_of_write);
  std::filesystem::path path_;
  FileDescriptor file_;
  Claim claim_;
  std::int64_t bytes_ = 0;  ///< of whole lines: where the next one goes
  std::vector<JournalEntry> entries_;
};

/// A usage error that names the coordinator, as coordinator.json has it, and says what can be done.
Error served_already(const RunLayout& layout);

/// Does a process hold the journal's lock: is the run being served? False as well where there is no journal.
bool is_held(const RunLayout& layout);

/// Reads without the lock, also while a coordinator writes: a last line that is not whole is passed over.
Result<std::vector<JournalEntry>> read_journal(const std::filesystem::path& file);

/// No line may be longer (append() refuses, a reader calls it broken), and no journal larger.
constexpr std::size_t kMaxJournalLineBytes = 1 << 20;
constexpr std::size_t kMaxJournalBytes = 256 << 20;

/// The two directions of the format, without files.
struct JournalText {
  std::vector<JournalEntry> entries;
  std::size_t whole_bytes = 0;  ///< length of the text without a last line that is not whole
};
Result<JournalText> parse_journal(std::string_view text, const std::string& where);
/// With its line feed. Bytes that are no UTF-8 become U+FFFD.
std::string journal_line(const JournalEntry& entry);

struct CommittedCheckpoint {
  Step step;
  std::string weights_sha256;
};
/// What the journal says of a run, by replaying it. Pure.
struct RunRecord {
  Generation generation;                          ///< newest that started; 0 when none
  std::vector<CommittedCheckpoint> commits;       ///< ascending by step, without those that were set aside since
  std::optional<CommittedCheckpoint> checkpoint;  ///< the newest of them
  std::string fingerprint;                        ///< of the first generation's workers; empty when none joined yet
  std::vector<MeasuredRate> rates;                ///< ascending by step; none beyond where the newest generation began,
                                                  ///< but its own
  std::int64_t pictured = -1;                     ///< step of the newest snapshot; -1: none
  std::string group;                              ///< of the newest generation
  std::string outcome;                            ///< "", "stopped", "finished" or "failed" (of the newest start)
};
RunRecord replay(const std::vector<JournalEntry>& entries);

}  // namespace plumbline
