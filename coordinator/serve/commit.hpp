// Checkpoints on disk, the coordinator's side: what a worker reported written becomes a checkpoint, or goes.
// Called off the event loop; one at a time.
#pragma once
#include <set>
#include <string>

#include "common/core/result.hpp"
#include "common/record/checkpoint_manifest.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

/// Compares every part with what was reported, writes the manifest, moves the folder into place; each step is on disk
/// before the next. Errors leave the partial folder and nothing else. A run error for a part that differs.
Status store_checkpoint(const RunLayout& layout, const CheckpointManifest& manifest);

/// Removes checkpoints older than the `keep` newest of those up to `newest`; `newest` itself stays whatever `keep` is.
void prune_checkpoints(const RunLayout& layout, Step newest, int keep);

/// Removes partial folders.
void remove_partial_checkpoints(const RunLayout& layout);
/// Removes folders that look finished but that the journal does not vouch for: a crash came between rename and journal.
void remove_uncommitted_checkpoints(const RunLayout& layout, const std::set<Step>& committed);

}  // namespace plumbline
