// Aggregation: what workers wrote becomes evaluation/summary.json. Judges and scores every output; compares the start
// model, the start model behind the rule filter, and the trained model on the same held-out rows.
#pragma once
#include <vector>

#include "common/core/result.hpp"
#include "common/data/dataset.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {
/// Merge the parts of the snapshot of `step` (workers' ranks 0…world-1) into snapshots/step-N.h5 and remove the parts.
/// Does nothing when an earlier call merged them already.
Status aggregate_snapshot(const RunLayout& layout, Step step, int world, std::int64_t probe_rows);
/// The same, once nobody writes parts any more, for every step whose parts are all there: workers whose coordinator was
/// killed go on to later steps, and the next one was not told of theirs. Returns the steps of which there are parts,
/// but not all, ascending: those snapshots are lost, and their parts stay as they are.
std::vector<Step> aggregate_left_snapshots(const RunLayout& layout, std::int64_t probe_rows);
/// Reads the evaluations of step 0 and of `final_step` (rows that have an output in both are compared), judges every
/// output, writes evaluation/judged.json (judged.hpp) and then evaluation/summary.json (its numbers: summary.hpp,
/// probe.hpp). The runs that the configuration compares with are judged on the same rows. `weights_sha256` is of the
/// final checkpoint. Errors: a missing or broken file; a norm that the dataset does not have; a compared run that is
/// not finished, has another dataset or answered other rows.
Status write_summary(const RunLayout& layout, const Dataset& dataset, Step final_step,
                     const std::string& weights_sha256);
/// The same from what dataset.json says; `folder` is where a classifier's file lies.
Status write_summary(const RunLayout& layout, const DatasetInfo& info, const std::filesystem::path& folder,
                     Step final_step, const std::string& weights_sha256);
}  // namespace plumbline
