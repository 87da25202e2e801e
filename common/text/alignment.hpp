// Sequence alignment as text (BetaAlign, Dotan et al., ICLR 2023). A row is a string over letters and '-'.
// Source "concat": unaligned rows joined by '|'  ("AAG|ACGG|ACG").
// Target "spaces": the alignment column by column, n characters a column ("AAAACC-G-GGG" for 3 rows; no separators
// are needed: row i is characters i, i+n, i+2n, …).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace plumbline {

using Rows = std::vector<std::string>;

/// One class an encoding; more encodings are more classes.
class SourceEncoding {
 public:
  virtual ~SourceEncoding() = default;
  [[nodiscard]] virtual std::string encode(const Rows& unaligned) const = 0;
  [[nodiscard]] virtual Rows decode(std::string_view source) const = 0;
};
class TargetEncoding {
 public:
  virtual ~TargetEncoding() = default;
  [[nodiscard]] virtual std::string encode(const Rows& aligned) const = 0;
  /// `num_rows` rows; nothing when the text cannot be that many rows of equal length.
  [[nodiscard]] virtual std::optional<Rows> decode(std::string_view text, std::size_t num_rows) const = 0;
};
/// "concat"; "spaces". Anything else is a data error that lists the known names.
Result<std::unique_ptr<SourceEncoding>> make_source_encoding(const std::string& name);
Result<std::unique_ptr<TargetEncoding>> make_target_encoding(const std::string& name);

/// Rows without their gaps.
Rows ungapped(const Rows& aligned);
/// Every row padded at its end with gaps to the longest: the fallback that no rule can refuse.
Rows left_justified(const Rows& unaligned);
/// The first column after which gaps are staggered: one row has a gap in it and a residue in the next column, another
/// row a residue in it and a gap in the next (a deletion right beside an insertion, which HMMER's Plan 7 models have no
/// transition for either). Nothing when there is none. Rows must have one length.
std::optional<std::size_t> staggered_gaps(const Rows& aligned);
/// Share of the true columns found in `candidate`, a column being the tuple of residue indices (gap: none); columns of
/// gaps only do not count. 0 when the rows' residues differ from the truth's. In [0,1].
double column_score(const Rows& candidate, const Rows& truth);

}  // namespace plumbline
