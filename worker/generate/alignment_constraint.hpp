// Outputs that are alignments by construction (source "concat", target "spaces": column by column, a character a row).
//
// In each column a row writes its next residue or a gap. A gap is refused when the column would hold gaps alone, and
// when the tokens that are left could no longer hold the residues that are. The end comes at a column's end, when every
// residue is used, and nowhere else. So an output is an alignment of its source whatever the model prefers, as long as
// the shortest one fits the budget: the longest row's length times the number of rows, and the EOS. Where it does not
// fit, the output is cut and says so (Generated::complete), like any other.
//
// The rule no_staggered_gaps is kept as well, in alignments of two rows: a column with a residue in one row alone is
// refused right after a column with one in the other row alone, and so is one that would leave no other way to go on.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/text/norm.hpp"
#include "common/text/tokenizer.hpp"
#include "worker/generate/constraint.hpp"

namespace plumbline {

class AlignmentConstraint final : public Constraint {
 public:
  /// Output o answers `sources[o]`, the whole text. `rules` name the encodings. Data errors: encodings that this does
  /// not know; a tokenizer that has no token for a single character of a source.
  static Result<std::unique_ptr<AlignmentConstraint>> make(const RuleSet& rules, const Tokenizer& tokenizer,
                                                           const std::vector<std::string>& sources);

  void allowed(std::size_t output, int budget, std::vector<std::int32_t>& tokens) const override;
  void written(std::size_t output, std::int32_t token) override;

 private:
  struct Row {
    std::vector<std::int32_t> residues;
    std::size_t used = 0;
    [[nodiscard]] std::size_t left() const { return residues.size() - used; }
  };
  struct Output {
    std::vector<Row> rows;
    std::size_t next_row = 0;         ///< the row whose turn it is
    bool column_has_residue = false;  ///< the column that is being written
    /// Of two rows: the one that alone had a residue in the last whole column.
    std::optional<std::size_t> lone_row;
  };

  AlignmentConstraint(std::int32_t gap, bool no_staggered_gaps) : gap_(gap), no_staggered_gaps_(no_staggered_gaps) {}
  [[nodiscard]] bool gap_is_open(const Output& output, int budget) const;
  [[nodiscard]] static bool gap_staggers(const Output& output);

  std::int32_t gap_;
  bool no_staggered_gaps_;
  std::vector<Output> outputs_;
};

}  // namespace plumbline
