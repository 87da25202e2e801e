// Refining: a model's own outputs for the training sources of a dataset, judged, become examples that `curate` takes.
//
// Worker processes sample (worker/sample.hpp) and append to one file each in OUT.parts; this side starts them, follows
// them, and at the end judges, chooses and writes OUT. What is sampled depends neither on the number of processes nor
// on interruptions: called again with the same settings, refine goes on where it was. Memory does not grow with the
// dataset.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "common/core/result.hpp"
#include "coordinator/refine/choose.hpp"

namespace plumbline {

struct RefineOptions {
  std::filesystem::path model;  ///< a run directory (its newest committed checkpoint), or a folder with a model
  std::filesystem::path data;   ///< dataset folder
  std::filesystem::path out;    ///< JSON lines
  std::string norm;             ///< empty: the dataset's only one
  int samples = 4, top_k = 0;
  double temperature = 1.0, top_p = 1.0;
  std::uint64_t seed = 1;
  std::int64_t examples = 0;  ///< sources at most; 0: all of the training split
  int max_new_tokens = 256, batch_rows = 32;
  Desired desired = Desired::kBest;
  bool repair = false;  ///< each rejected output against its repair (worker/generate/repair.hpp); alignments only
  int workers = 2;
  bool replace = false;  ///< an earlier OUT, or parts with other settings
};

struct RefineCounts {
  std::int64_t sources = 0, outputs = 0, accepted = 0, rejected = 0;
  std::int64_t preferences = 0, demonstrations = 0, prohibitions = 0, skipped = 0;  ///< by example
  std::int64_t desired_own = 0;  ///< examples whose desired output the model wrote
};

/// Told about twice a second while workers sample: sources answered, of how many.
using RefineProgress = std::function<void(std::int64_t done, std::int64_t all)>;

/// Errors: usage (OUT exists, settings changed), data (dataset, model, damaged parts), environment (no worker program),
/// run (a worker failed; what it wrote is kept).
Result<RefineCounts> refine(const RefineOptions& options, const RefineProgress& progress);

}  // namespace plumbline
