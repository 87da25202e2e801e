// Which checkpoints stay (`checkpoint.keep`, `checkpoint.keep_every`, `checkpoint.keep_best`). Pure: a function of
// which are there and of what was measured, so a run that is resumed keeps the same ones.
//
// A milestone's weights are those of its step. Where it was given up, as its generation broke while it was being
// written, going back for it would cost steps; the next one, which made up for it (make_up.hpp) or was due, stands in.
//
// A checkpoint stays when any rule keeps it. The newest, which every commit has just verified and a resume begins at,
// stays under all of them, and so does whatever is newer than it.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/json.hpp"

namespace plumbline {

struct RetentionPolicy {
  int keep = 2;                 ///< this many of the newest
  std::int64_t keep_every = 0;  ///< those of steps that are multiples of it, for good; 0: none
  int keep_best = 0;            ///< this many of those that were measured best on held-out examples
  std::int64_t every = 0;       ///< `checkpoint.every`; 0: a milestone that is not there was never due
};

/// How far the model of one step is from good on held-out examples: the undesirable rate where outputs are judged while
/// training, else the loss; the mean over the norms. Lower is better.
struct HeldOutMeasure {
  std::int64_t step = 0;
  double value = 0;
  friend bool operator==(const HeldOutMeasure&, const HeldOutMeasure&) = default;
};

/// Of one line of metrics.jsonl; nothing when it measures nothing on held-out examples, or not for every norm.
std::optional<HeldOutMeasure> held_out_measure(const Json& line, bool judged);
/// Keeps `measures` ascending by step: a step that is measured again voids what was measured from there on.
void add_measure(std::vector<HeldOutMeasure>& measures, const HeldOutMeasure& measure);

/// Those of `present` (in any order) that no rule keeps, ascending. Among equally good ones the earlier step is better;
/// a checkpoint that was not measured at its own step is no candidate for keep_best.
std::vector<Step> surplus_checkpoints(const RetentionPolicy& policy, std::vector<Step> present, Step newest,
                                      const std::vector<HeldOutMeasure>& measures);

}  // namespace plumbline
