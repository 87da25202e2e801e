#include "coordinator/serve/fall_back.hpp"

#include <system_error>

#include "common/record/checkpoint_manifest.hpp"
#include "coordinator/serve/disk.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

/// Is it there, whole, and the one that the journal speaks of?
Status check(const RunLayout& layout, const CommittedCheckpoint& commit) {
  const fs::path folder = layout.checkpoint(commit.step);
  std::error_code ec;
  if (!fs::exists(folder, ec)) return data_error("the folder is gone", folder.string());
  PLUMBLINE_ASSIGN(const CheckpointManifest manifest, verify_checkpoint(folder));
  if (manifest.step == commit.step && manifest.weights_sha256() == commit.weights_sha256) return {};
  return data_error("it is not the one that the run's journal names", (folder / "MANIFEST.json").string());
}

/// A name beside it that is free: what is set aside is never overwritten.
fs::path place_aside(const RunLayout& layout, Step step) {
  const fs::path first = layout.checkpoints() / ("damaged-" + layout.checkpoint(step).filename().string());
  fs::path place = first;
  std::error_code ec;
  for (int number = 2; fs::exists(fs::symlink_status(place, ec)); ++number)
    place = first.string() + "." + std::to_string(number);
  return place;
}

Status set_aside(const RunLayout& layout, SetAsideCheckpoint& damaged) {
  const fs::path folder = layout.checkpoint(damaged.checkpoint.step);
  std::error_code ec;
  if (!fs::exists(folder, ec)) return {};
  const fs::path place = place_aside(layout, damaged.checkpoint.step);
  PLUMBLINE_TRY(move_folder(folder, place));
  damaged.moved_to = place.lexically_relative(layout.root()).string();
  return {};
}

}  // namespace

Result<UsableCheckpoint> fall_back(const RunLayout& layout, const std::vector<CommittedCheckpoint>& commits) {
  UsableCheckpoint usable;
  std::error_code ec;
  for (auto commit = commits.rbegin(); commit != commits.rend(); ++commit) {
    if (commit != commits.rbegin() && !fs::exists(layout.checkpoint(commit->step), ec)) continue;
    const Status whole = check(layout, *commit);
    if (whole.has_error()) {
      usable.set_aside.push_back({*commit, whole.error().where, whole.error().message, ""});
      continue;
    }
    usable.checkpoint = *commit;
    for (SetAsideCheckpoint& damaged : usable.set_aside) PLUMBLINE_TRY(set_aside(layout, damaged));
    return usable;
  }
  const SetAsideCheckpoint& newest = usable.set_aside.front();
  return data_error("none of the run's checkpoints is what it was when it was committed (" +
                        std::to_string(usable.set_aside.size()) + " looked at); of the newest, of step " +
                        std::to_string(newest.checkpoint.step.value()) + ": " + newest.reason,
                    newest.file,
                    "Restore " + layout.checkpoints().string() +
                        " from a copy and resume again, or start a new run. Nothing was changed.");
}

}  // namespace plumbline
