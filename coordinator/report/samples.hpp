// Sample outputs for the page: what all that is compared wrote for the same sources, with their verdicts. Alignments
// are decoded to rows here, so that the page only draws.
#pragma once
#include "common/core/json.hpp"
#include "coordinator/aggregate/judged.hpp"

namespace plumbline {

/// How many rows of a norm the page holds: the first ones in row order, and the first of each kind that a reader may
/// filter by.
inline constexpr std::size_t kFirstSamples = 24;
inline constexpr std::size_t kSamplesOfAKind = 12;
inline constexpr std::size_t kStorySamples = 3;  ///< shown at the top: the first rows whose output training changed
inline constexpr std::size_t kMostSampleBytes = 4000;  ///< of one text; longer ones are cut and say so

/// {NORM: {"rows": n, "counts": {"improved", "worse", "still_undesirable", "still_acceptable"}, "cut": {"base",
/// "aligned"},
///   "story": {"changed": rows whose output training changed, "items": the first of them as below, or where there is
///   none the first rows},
///   "items": [{"row", "kind", "source": TEXT, "desired"?, "undesired"?, "base", "rules", "aligned", "others"?: {NAME:
///   output}}]}}
/// TEXT is {"text", "cut"?, "rows"?: [aligned rows], "valid"?: residues are the source's, "matched"?: "10…" by column:
/// the column is also in the desired alignment}; an output adds {"undesirable", "reason", "score"?, "complete"}.
Result<Json> sample_outputs(const Judged& judged);

}  // namespace plumbline
