// Generating: what a model writes for sources that a person has, one a line.
//
// One worker process computes (worker/answer.hpp); this side reads the sources, hands them over in windows of 64
// batches, and writes the outputs of a window, in the order of the sources, when all of it is answered. So memory does
// not grow with the input, and within a window the worker may put sources of like length together.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "common/core/result.hpp"
#include "common/data/generation.hpp"

namespace plumbline {

struct GenerateOptions {
  std::string model;             ///< a run directory (its newest committed checkpoint), or a folder with a model
  std::string input = "-";       ///< file of sources, one a line; "-": the standard input
  std::string out = "-";         ///< file for the outputs, whole or absent; "-": the standard output
  bool json = false;             ///< lines are JSON objects, on both sides
  bool replace = false;          ///< an earlier file at `out`
  bool for_terminal = false;     ///< control characters are shown, so that a terminal does not obey them
  GenerationTask task;           ///< how; its model is filled in here
  int threads = 1;               ///< of the worker
  std::int64_t max_sources = 0;  ///< of a window; 0: 64 batches
};

struct GenerateCounts {
  std::int64_t sources = 0, outputs = 0;
  std::int64_t incomplete = 0;  ///< outputs that were cut at the longest length
  std::int64_t cut = 0;         ///< sources that were too long
  std::string first_cut;        ///< where the first of them stands
  bool is_read = true;          ///< false: the standard output was closed before the end
};

/// Told after each source that is answered: how many are.
using GenerateProgress = std::function<void(std::int64_t done)>;

/// A usage error where options contradict each other, or one of them is without effect.
Status check_options(const GenerateOptions& options);

/// SIGPIPE must be ignored. Errors: usage (options, MODEL, `out` exists), data (a line of the input, the model),
/// environment (no worker program, `out` cannot be made), run (the worker failed, the disk is full). After an error the
/// outputs of earlier windows stand on the standard output, and no file at `out`.
Result<GenerateCounts> generate(const GenerateOptions& options, const GenerateProgress& progress);

}  // namespace plumbline
