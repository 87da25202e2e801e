// Typed messages of the control plane and who sends them. Each is a plain struct with JSON conversion; parsing an
// unknown or malformed one is an Error, never an exception.
//
//   coordinator                                    worker (rank r of n)
//              <---------------------------------  Hello                   who it is
//   Welcome    --------------------------------->                          the worker is in
//              <---------------------------------  Ready                   elastic: between two generations, with the
//                                                                          state that it holds
//   Assignment --------------------------------->                          a generation begins: rank, where to start
//   Lease      --------------------------------->                          lanes for steps [first, end); extended in
//   time
//              <---------------------------------  Heartbeat               every rank: step, phase, whether it gets on
//              <---------------------------------  StepDone (rank 0)       metrics of a committed step
//              <---------------------------------  PartWritten             a checkpoint part is on disk
//   Committed  --------------------------------->                          manifest in place, journal written
//              <---------------------------------  Artifact                evaluation or snapshot file written
//              <---------------------------------  NcclId (rank 0)   ----> relayed to the other ranks
//   Regroup    --------------------------------->                          elastic: leave the generation, say Ready
//   StacksRequest ------------------------------>                          it hangs: write what its threads do
//              <---------------------------------  Failed                  the worker's error, before it exits
//              <---------------------------------  Finished                trained, checkpointed, evaluated
//   Dismissal  --------------------------------->                          elastic: the run needs this worker no more
//
//   A command-line client says Hello with role "client", then StatusRequest or StopRequest.
#pragma once
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/json.hpp"
#include "common/wire/frame.hpp"

namespace plumbline {

enum class Role { kWorker, kClient };

struct Hello {
  Role role = Role::kWorker;
  int rank = 0, world = 1;  ///< worker only; world 0: of an elastic group, and `rank` is the worker's number
  std::string host;
  std::int64_t pid = 0;
  std::string group;        ///< random hex that all ranks of one launched group share
  std::string mesh;         ///< elastic: "host:port" where the other workers reach it
  Generation generation;    ///< elastic: that it was in when it lost its coordinator; 0: it was in none
  std::string fingerprint;  ///< numeric fingerprint: CPU capability or GPU model, threads, library versions
};
struct Welcome {
  Generation generation;   ///< that is, or was last
  bool under_way = false;  ///< elastic: others train already; prepare to join them before saying Ready
};
struct Lease {
  LeaseId id;
  std::int64_t first_step = 0,
               end_step = 0;         ///< steps first+1 … end may be taken (a step's number is the count after it)
  int lane_begin = 0, lane_end = 0;  ///< this rank's lanes
  bool last = false;                 ///< no lease follows: finish (final checkpoint, …) at end_step
  bool stop = false;                 ///< with last: stopped by request, so no final evaluation
  bool regroup = false;              ///< with last: not the run's end; say Ready there, another generation follows
};
/// What a heartbeat's `waits_in` says of a worker that waits for a lease, a commit or an assignment.
inline constexpr const char* kWaitsForCoordinator = "the coordinator";
struct Heartbeat {
  std::int64_t step = 0;
  std::string phase;
  std::uint64_t work = 0;        ///< pieces of work done so far: grows while the worker gets on; 0: it does not say
  std::uint64_t calls = 0;       ///< collective calls begun in this generation
  std::string waits_in{};        ///< the call in which it waits for others, or kWaitsForCoordinator; empty: it does not
  std::vector<int> waits_for{};  ///< ranks that the call still waits for, where the collective knows
  double lane_seconds = 0;       ///< its own computing in the newest step, over the lanes it has; 0: unknown
};
struct StepDone {
  std::int64_t step = 0;
  Json metrics = Json::object();  ///< the line that goes to metrics.jsonl
};
struct PartWritten {
  std::int64_t step = 0;
  std::string file;  ///< name inside the checkpoint folder
  std::uint64_t bytes = 0;
  std::string sha256;
  int parts = 0;  ///< how many files the checkpoint will have in all
};
struct Committed {
  std::int64_t step = 0;
  std::string weights_sha256;
};
struct Artifact {
  std::string kind;
  std::int64_t step = 0;
  std::string file;
};  ///< kind: evaluation, snapshot, snapshot_part, stacks
struct NcclId {
  std::string id_hex;
};
struct Failed {
  int code = 4;
  std::string message, where, hint;
};
struct Finished {
  std::int64_t step = 0;
};
/// All ranks of a generation get theirs together.
struct Assignment {
  Generation generation;
  int rank = 0, world = 1;
  std::string resume_from;  ///< checkpoint folder relative to the run directory; empty: from the start model
  std::int64_t start_step = 0;
  int source = -1;                ///< rank whose state everybody takes; -1: from the files
  std::vector<std::string> mesh;  ///< elastic: "host:port" by rank
  std::string key;                ///< elastic: 64 hex digits that the ranks of this generation prove themselves with
  std::vector<int> shares;        ///< lanes of each rank, in order; empty: even shares
  /// Steps of the newest that are recorded already: metrics of a step, …
  std::int64_t recorded = -1, checkpointed = -1, measured = -1, pictured = -1;
  std::int64_t make_up = -1;  ///< step of a checkpoint in place of one that was given up; -1: none is to be made up for
};
struct Ready {
  std::int64_t step = -1;  ///< of the weights it holds; -1: none
  std::string weights;     ///< hex digest of weights and optimizer state; empty: none
  /// Ranks of the generation that it leaves which it cannot reach, though nothing says that they are gone.
  std::vector<int> unreached = {};
};
struct Regroup {
  std::string reason;
};
struct Dismissal {};
struct StacksRequest {
  std::string reason;
};
struct StatusRequest {
  bool all = false;  ///< every worker of a large group, not only those that stand out
};
struct StatusReply {
  Json status = Json::object();
};
struct StopRequest {};
struct StopReply {
  std::string message;
};

using Message = std::variant<Hello, Welcome, Lease, Heartbeat, StepDone, PartWritten, Committed, Artifact, NcclId,
                             Failed, Finished, StatusRequest, StatusReply, StopRequest, StopReply, Assignment, Ready,
                             Regroup, Dismissal, StacksRequest>;

/// The type number is the variant index + 1.
Frame to_frame(const Message& message, Generation generation);
Result<Message> from_frame(const Frame& frame);
std::string message_name(const Message& message);

}  // namespace plumbline
