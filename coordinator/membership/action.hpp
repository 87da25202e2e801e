// What decide() wants done. The shell carries actions out in order; `reason` is what it logs.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/core/json.hpp"
#include "common/record/checkpoint_manifest.hpp"
#include "coordinator/membership/event.hpp"

namespace plumbline {
namespace action {

/// Launch `workers` workers (of an elastic group: numbers 0 and on), and answer with GroupStarted or GroupNotStarted.
struct StartGroup {
  Generation generation;
  int workers = 1;
};
/// Elastic: launch the worker `number` of the group, in place of one that has gone. WorkerExited when that fails.
struct StartWorker {
  int number = 0;
  std::string group;
  bool elsewhere = false;  ///< not on the host where it was last: too much was lost there
};
/// Elastic: watch a worker's process that another coordinator launched. WorkerExited when it ends, or cannot be
/// watched.
struct AdoptWorker {
  int number = 0;
  std::int64_t pid = 0;
  std::string host;
};
/// Elastic: end this worker's process, by force. WorkerExited follows, where it was still there.
struct KillWorker {
  int number = 0;
};
/// Ask the group's processes to end, or (by force) end them.
struct EndGroup {
  bool by_force = false;
};

/// The worker is in; what it says counts from now on. `under_way`: others train already.
struct Welcome {
  ConnectionId connection;
  Generation generation;
  bool under_way = false;
};
/// To a welcomed worker, at the beginning of a generation. The message's mesh, resume_from and key are for the shell to
/// fill in: all ranks have the same mesh (elastic; otherwise null), and it knows where checkpoints lie, and a secret.
struct Assign {
  ConnectionId connection;
  std::optional<Step> resume_from;
  Assignment assignment;
  std::shared_ptr<const std::vector<std::string>> mesh;
};
/// To a welcomed worker.
struct Send {
  ConnectionId connection;
  Message message;
};
/// End a connection; first say why, where there is something to say.
struct Drop {
  ConnectionId connection;
  std::optional<Failed> farewell;
};

/// Verify the parts that this generation wrote off the loop, write the manifest, rename; answer CheckpointStored or
/// CheckpointNotStored.
struct StoreCheckpoint {
  CheckpointManifest manifest;
  Generation generation;
};
/// Find, off the loop, the newest committed checkpoint that is what it was when it was committed, and set newer ones
/// aside; answer CheckpointVerified or NoCheckpointVerifies.
struct VerifyCheckpoint {};
/// Remove checkpoints that are older than those to keep, and what generations before this one left half written.
struct PruneCheckpoints {
  Step newest;
  Generation generation;
};
/// Merge the parts off the loop; answer SnapshotAggregated.
struct AggregateSnapshot {
  std::int64_t step = 0;
  int world = 1;
};

/// `required`: where it cannot be written, the rest of the actions are not carried out and RecordFailed follows.
struct AppendJournal {
  std::string event;
  Json data;
  bool required = true;
};
struct AppendMetrics {
  Json line;
};

enum class Outcome { kFinished, kStopped, kFailed };
/// Nothing follows. `error` is set unless finished.
struct EndRun {
  Outcome outcome = Outcome::kFailed;
  Error error;
};

/// Only the reason: something worth a line in the log, nothing to do.
struct Note {};

}  // namespace action

enum class Tone { kQuiet, kInfo, kWarning };  ///< at which level the reason is logged: debug, info, warn

struct Action {
  std::variant<action::StartGroup, action::StartWorker, action::AdoptWorker, action::KillWorker, action::EndGroup,
               action::Welcome, action::Assign, action::Send, action::Drop, action::StoreCheckpoint,
               action::VerifyCheckpoint, action::PruneCheckpoints, action::AggregateSnapshot, action::AppendJournal,
               action::AppendMetrics, action::EndRun, action::Note>
      what;
  std::string reason;
  Tone tone = Tone::kQuiet;
};

}  // namespace plumbline
