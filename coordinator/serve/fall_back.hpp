// Which checkpoint a run goes on from: the newest committed one that is still what was committed. When it is looked at:
//   - as it is committed: every part is read back and compared with what the worker hashed while writing (commit.hpp);
//   - when a run is resumed, and when a group starts again: here, MANIFEST.json, and every file's size and SHA-256, of
//     the newest; of an older one only when that fails. Sizes come first, so a cut file costs no hashing;
//   - by rank 0, once more, as it loads: it may sit on another host.
// Retention does not read files. Called off the event loop, or before it runs.
#pragma once
#include <vector>

#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/journal/set_aside.hpp"

namespace plumbline {

struct UsableCheckpoint {
  CommittedCheckpoint checkpoint;
  std::vector<SetAsideCheckpoint> set_aside;  ///< newer ones, newest first; moved_to is where they are now
};

/// `commits` ascend by step and are not empty. Newer ones that do not verify are renamed to checkpoints/damaged-step-N
/// once an older one has verified. Older ones whose folder is gone are passed over: retention removes them. A data
/// error that names the newest one's file when none verifies; then nothing is moved.
Result<UsableCheckpoint> fall_back(const RunLayout& layout, const std::vector<CommittedCheckpoint>& commits);

}  // namespace plumbline
