// The state of a run as the coordinator knows it: one group of workers at a time, in numbered generations.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/core/clock.hpp"
#include "common/data/lane_shares.hpp"
#include "coordinator/journal/journal.hpp"
#include "coordinator/membership/action.hpp"
#include "coordinator/membership/event.hpp"
#include "coordinator/membership/severed.hpp"
#include "coordinator/schedule/checkpoint_parts.hpp"
#include "coordinator/schedule/early_stop.hpp"
#include "coordinator/schedule/lease_window.hpp"

namespace plumbline {

/// What does not change while a coordinator serves.
struct RunFacts {
  int workers = 1;  ///< asked for
  int spares = 0;   ///< elastic: more workers, prepared and waiting for one to be lost
  int lanes = 12;
  LeasePolicy lease;  ///< lease.steps is the run's length, unless it stops early
  EarlyStopPolicy early_stop;
  int max_restarts = 3;               ///< of died groups in a row without a new checkpoint
  bool supervised = true;             ///< false: a person starts the group, and it is not started again
  bool elastic = false;               ///< workers come and go, and those who are left go on
  bool chooses_hosts = false;         ///< elastic: a worker may be launched on another host than before
  int min_workers = 1;                ///< elastic: with fewer, training waits for others
  int orphans = 0;                    ///< elastic: workers that outlived the coordinator before this one
  std::int64_t checkpoint_every = 0;  ///< steps; 0: none is due before the end
  std::string launcher;               ///< its name
  std::string resume_command, start_command, log_place;  ///< for messages
  std::chrono::milliseconds worker_timeout{60'000};      ///< silence of a worker that is taken for its death
  std::chrono::milliseconds join_timeout{180'000};       ///< from the start of a group until all its workers are there
  /// Without progress for so much longer than any worker has been in that stage, and at least so long, one hangs; in a
  /// stage that none has been through, for the third.
  int hang_factor = 10;
  std::chrono::milliseconds hang_least{60'000}, hang_unknown{1'800'000};
  std::chrono::milliseconds stacks_grace{5'000};      ///< for a hung worker to write its stacks
  std::chrono::milliseconds adopt_timeout{12'000};    ///< for the orphans to come, who try an address for ten seconds
  std::chrono::milliseconds regroup_timeout{30'000};  ///< elastic: for a worker to leave a generation that is over
  std::chrono::milliseconds failure_grace{5'000};     ///< for a group to end by itself after a worker reported an error
  std::chrono::milliseconds finish_grace{30'000};     ///< … after all its workers have finished
  std::chrono::milliseconds terminate_grace{5'000};   ///< … after it was asked to
  std::chrono::milliseconds drain_grace{2'000};       ///< for the last messages of a group that has ended
};

enum class GroupPhase {
  kNone,        ///< no group: before the first, and between two
  kGathering,   ///< launched (or waited for); not all workers have joined
  kTraining,    ///< all have their assignment
  kRegrouping,  ///< elastic: a generation is over, the next begins when those who are left are ready
  kEnding,      ///< told to end, or has ended; its last messages are read
  kOver,        ///< the run's outcome is decided
};

struct Member {
  ConnectionId connection;
  std::string host, fingerprint;
  std::int64_t pid = 0;
  SteadyTime last_heard;
  std::string phase = "joining";
  std::int64_t step = 0;
  bool connected = true, finished = false, failed = false;
  // Does it get on? (hangs.cpp)
  Heartbeat beat;                     ///< its newest
  SteadyTime moved_at;                ///< when it last got on
  std::optional<SteadyTime> hung_at;  ///< when it was found to hang, and asked for its stacks
  std::string hung_how;               ///< what it was found to do
  double lane_seconds = 0;            ///< of its newest steps, smoothed; 0: unknown
  std::int64_t timed_step = 0;        ///< the newest of them
  int timings = 0;                    ///< that this is from, in the present generation
  // Elastic.
  int number = 0;              ///< the same for as long as the worker lives
  std::string mesh;            ///< where other workers reach it
  bool adopted = false;        ///< it outlived its coordinator: what it holds is from before
  std::optional<Ready> ready;  ///< what it holds, once it has left the generation
};

/// Why a group ends: the first reason that was found.
struct EndCause {
  enum class Kind {
    kLost,     ///< a worker vanished; the group is started again
    kFailed,   ///< trying again would fail again: the run fails
    kStopped,  ///< asked for
  };
  Kind kind = Kind::kLost;
  Error error;  ///< kFailed: the run's; otherwise what happened
};

struct RunState {
  Generation generation;                          ///< of the group that is, or of the last one
  std::optional<CommittedCheckpoint> checkpoint;  ///< newest committed: where a group resumes
  std::string fingerprint;                        ///< of the run's first group; empty until it has joined
  std::vector<MeasuredRate> rates;                ///< on the way to where training is, ascending by step
  GroupPhase phase = GroupPhase::kNone;
  bool begun = false;  ///< Begin came

  // The group.
  std::string group;
  int world = 0;                  ///< 0 until the first worker came
  std::map<int, Member> members;  ///< by rank
  /// The rank (a newcomer's: the number) at which a connection was found last: a guess, to be checked. Of connections
  /// that are not lost.
  std::map<ConnectionId, int> found_at;
  int seen_connected = 0;  ///< a rank whose connection was there when it was looked for last: where to look first
  SteadyTime phase_since;
  std::optional<EndCause> cause;
  std::optional<Error> failure;  ///< the first error that a worker reported
  SteadyTime failure_at, finished_at, end_asked_at, exited_at;
  bool all_finished = false, end_asked = false, killed = false;
  bool assigned = false;                     ///< generation_started is in the journal
  std::optional<event::GroupExited> exited;  ///< supervised groups only
  LaneShares shares;                         ///< of the present generation, by rank
  SteadyTime group_moved_at;                 ///< when any member last got on
  LeaseWindow leases;
  std::map<std::int64_t, CheckpointParts> parts;
  std::optional<std::int64_t> make_up;  ///< step of the checkpoint that the present generation makes up for one with
  std::map<std::int64_t, std::set<int>> snapshot_ranks;
  std::int64_t recorded = 0;                  ///< newest step whose metrics line is written
  std::int64_t measured = -1, pictured = -1;  ///< newest held-out measurement and snapshot that are recorded

  // An elastic group beside its present generation (`members`), by worker number.
  std::map<int, Member> newcomers;                ///< not in a generation yet
  std::map<int, SteadyTime> processes;            ///< when each that runs was launched
  std::set<int> lost;                             ///< of them, those that are given up and will exit
  std::map<int, event::WorkerExited> exits;       ///< of them, those that have, with last messages on the way
  std::set<int> doubles;                          ///< of them, those of which a second process was refused
  std::map<int, int> failed_starts;               ///< exits in a row before taking part
  std::map<int, std::vector<SteadyTime>> losses;  ///< of those that took part, when, lately
  std::set<int> left_out;                         ///< not launched again
  std::set<int> given_up;                         ///< not launched before a new step
  std::set<int> elsewhere;                        ///< launched next on another host, where one can be chosen
  std::set<SeveredPair> severed;                  ///< of the present generation's ranks
  /// Host and process of who was parted with for that, and may not know it yet.
  std::set<std::pair<std::string, std::int64_t>> parted;
  std::set<int> dismissed;  ///< more than were asked for: told to go, and not launched again
  bool spares_launched = false;
  bool adopting = false;        ///< orphans are waited for
  bool waits_for_more = false;  ///< it was said that there are too few

  // Across groups.
  std::map<std::string, std::chrono::milliseconds> longest;  ///< without progress, by stage; "": the whole group
  bool verifying = false;          ///< where the next group resumes is being looked at: nobody is assigned meanwhile
  std::set<std::int64_t> storing;  ///< steps whose checkpoint is being verified
  std::set<std::int64_t> aggregating;  ///< steps whose snapshot is being merged
  int made_up_in_vain = 0;             ///< checkpoints that made up for one and were given up, since the newest commit
  int restarts = 0, restarts_in_row = 0;
  bool stop_requested = false;
};

}  // namespace plumbline
