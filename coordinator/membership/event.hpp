// What happens to a run, as the coordinator's shell (serve/) tells it to decide(). Plain values.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/wire/message.hpp"
#include "coordinator/journal/set_aside.hpp"

namespace plumbline {

/// One connection to the coordinator; never used twice.
using ConnectionId = Id<struct ConnectionIdTag, std::uint64_t>;

namespace event {

/// The coordinator is ready: launch the first group.
struct Begin {};
/// The launcher has started the group that StartGroup asked for. `group` is what its workers call themselves; empty
/// when a person starts it, and then the first group that comes is taken.
struct GroupStarted {
  std::string group;
};
struct GroupNotStarted {
  Error error;
};
/// The group's process has ended. Its last messages may still be on their way.
struct GroupExited {
  int status = 0;
  std::string description;
};

/// Elastic: the process of worker `number` has ended. Its last messages may still be on their way.
struct WorkerExited {
  int number = 0;
  int status = 0;
  std::string description;
};

/// A worker has proved the secret and said who it is.
struct WorkerCame {
  ConnectionId connection;
  Hello hello;
};
/// A message on a connection that came with WorkerCame; `generation` is the frame's.
struct WorkerSaid {
  ConnectionId connection;
  Generation generation;
  Message message;
};
/// That connection has ended, whoever ended it. Comes once.
struct ConnectionLost {
  ConnectionId connection;
  std::string reason;
};

struct CheckpointStored {
  std::int64_t step = 0;
  std::string weights_sha256;
};
struct CheckpointNotStored {
  std::int64_t step = 0;
  Error error;
};
/// The newest commit that stands, once those that no longer verify (newest first) were set aside.
struct CheckpointVerified {
  CommittedCheckpoint checkpoint;
  std::vector<SetAsideCheckpoint> set_aside;
};
/// None does; nothing was moved.
struct NoCheckpointVerifies {
  Error error;
};
struct SnapshotAggregated {
  std::int64_t step = 0;
  Error error;
  bool failed = false;
};
/// The journal or the metrics file could not be written.
struct RecordFailed {
  Error error;
};

/// By `plumbline stop` or a signal. `at_once`: do not wait for a step or a checkpoint.
struct StopRequested {
  std::string by;
  bool at_once = false;
};
struct Tick {};

}  // namespace event

using Event =
    std::variant<event::Begin, event::GroupStarted, event::GroupNotStarted, event::GroupExited, event::WorkerExited,
                 event::WorkerCame, event::WorkerSaid, event::ConnectionLost, event::CheckpointStored,
                 event::CheckpointNotStored, event::CheckpointVerified, event::NoCheckpointVerifies,
                 event::SnapshotAggregated, event::RecordFailed, event::StopRequested, event::Tick>;

}  // namespace plumbline
