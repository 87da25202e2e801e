// Checkpoints on disk, the coordinator's side: what a worker reported written becomes a checkpoint, or goes.
// Called off the event loop; one at a time.
#pragma once
#include <set>
#include <vector>

#include "common/core/result.hpp"
#include "common/record/checkpoint_manifest.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/schedule/retention.hpp"

namespace plumbline {

/// Compares every part with what this generation's workers reported, writes the manifest, moves the folder into place;
/// each step is on disk before the next. Errors leave the partial folder and nothing else. A run error for a part that
/// differs.
Status store_checkpoint(const RunLayout& layout, const CheckpointManifest& manifest, Generation generation);

/// Removes the checkpoints that `policy` does not keep (retention.hpp); `newest`, and what is newer, stays.
void prune_checkpoints(const RunLayout& layout, Step newest, const RetentionPolicy& policy,
                       const std::vector<HeldOutMeasure>& measures);

/// Removes partial folders: all, or those of the generations before `generation`.
void remove_partial_checkpoints(const RunLayout& layout);
void remove_partial_checkpoints(const RunLayout& layout, Generation generation);
/// Removes folders that look finished but that the journal does not vouch for: a crash came between rename and journal.
void remove_uncommitted_checkpoints(const RunLayout& layout, const std::set<Step>& committed);

}  // namespace plumbline
