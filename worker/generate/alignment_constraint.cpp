#include "worker/generate/alignment_constraint.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "common/core/check.hpp"
#include "common/text/alignment.hpp"

namespace plumbline {

namespace {

/// The token of each single character, asked of the tokenizer once.
class Characters {
 public:
  explicit Characters(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  Result<std::int32_t> token(char c) {
    std::optional<std::int32_t>& known = tokens_[static_cast<unsigned char>(c)];
    if (!known) {
      const std::vector<std::int32_t> ids = tokenizer_.encode(std::string(1, c));
      if (ids.size() != 2 || ids[0] == kUnknownToken || ids[1] != kEosToken || begins_a_word(ids[0]))
        return data_error("the tokenizer \"" + tokenizer_.name() + "\" has no token for the single character \"" +
                              std::string(1, c) + "\", so outputs cannot be constrained to alignments",
                          "", "Use the tokenizer \"byte\" for alignments.");
      known = ids[0];
    }
    return *known;
  }

 private:
  /// Whether the token brings a space along, so that two are not two characters beside each other.
  [[nodiscard]] bool begins_a_word(std::int32_t token) const {
    const std::string once = tokenizer_.decode(std::vector{token});
    return tokenizer_.decode(std::vector{token, token}) != once + once;
  }

  const Tokenizer& tokenizer_;
  std::array<std::optional<std::int32_t>, 256> tokens_;
};

}  // namespace

Result<std::unique_ptr<AlignmentConstraint>> AlignmentConstraint::make(const RuleSet& rules, const Tokenizer& tokenizer,
                                                                       const std::vector<std::string>& sources) {
  PLUMBLINE_ASSIGN(const auto encoding, make_source_encoding(rules.source_encoding));
  if (rules.target_encoding != "spaces")
    return data_error("outputs in the target encoding \"" + rules.target_encoding + "\" cannot be constrained", "",
                      "Known: spaces.");
  Characters characters(tokenizer);
  PLUMBLINE_ASSIGN(const std::int32_t gap, characters.token('-'));
  auto constraint = std::unique_ptr<AlignmentConstraint>(new AlignmentConstraint(gap, rules.no_staggered_gaps));
  for (const std::string& source : sources) {
    Output output;
    for (const std::string& text : ungapped(encoding->decode(source))) {
      Row row;
      for (const char c : text) {
        PLUMBLINE_ASSIGN(const std::int32_t token, characters.token(c));
        row.residues.push_back(token);
      }
      output.rows.push_back(std::move(row));
    }
    constraint->outputs_.push_back(std::move(output));
  }
  return constraint;
}

/// Whether a gap in the row whose turn it is, of two, is right beside one of the other row, or will have to be.
bool AlignmentConstraint::gap_staggers(const Output& output) {
  const std::size_t gapped = output.next_row, lone = 1 - gapped;
  const Row &gapped_row = output.rows[gapped], &lone_row = output.rows[lone];
  if (gapped_row.left() == 0) return false;                                // every later column is like this one
  const std::size_t left_after = lone_row.left() - (gapped == 0 ? 1 : 0);  // row 1 comes after row 0
  return output.lone_row == gapped || left_after == 0;                     // the next column would be `gapped`'s alone
}

bool AlignmentConstraint::gap_is_open(const Output& output, int budget) const {
  const auto& rows = output.rows;
  bool residue_may_come = output.column_has_residue;
  std::size_t longest = 0;  // residues left of a row after this column, when every later row of the column writes one
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const bool later = r > output.next_row;
    residue_may_come = residue_may_come || (later && rows[r].left() > 0);
    longest = std::max(longest, rows[r].left() - (later && rows[r].left() > 0 ? 1 : 0));
  }
  if (!residue_may_come) return false;
  if (rows[output.next_row].left() == 0) return true;  // nothing else can be written here
  if (no_staggered_gaps_ && rows.size() == 2 && gap_staggers(output)) return false;
  const std::size_t needed = (rows.size() - output.next_row) + rows.size() * longest + 1;
  return needed <= static_cast<std::size_t>(budget);
}

void AlignmentConstraint::allowed(std::size_t output, int budget, std::vector<std::int32_t>& tokens) const {
  const Output& state = outputs_.at(output);
  const bool used_up =
      std::all_of(state.rows.begin(), state.rows.end(), [](const Row& row) { return row.left() == 0; });
  if (state.next_row == 0 && used_up) {
    tokens.push_back(kEosToken);
    return;
  }
  const Row& row = state.rows[state.next_row];
  if (gap_is_open(state, budget)) tokens.push_back(gap_);
  if (row.left() > 0) tokens.push_back(row.residues[row.used]);
  std::sort(tokens.begin(), tokens.end());
  PLUMBLINE_CHECK(!tokens.empty(), "an alignment has come to a place from which it cannot go on");
}

void AlignmentConstraint::written(std::size_t output, std::int32_t token) {
  Output& state = outputs_.at(output);
  if (token == kEosToken) return;
  Row& row = state.rows[state.next_row];
  const bool first_has_residue = state.column_has_residue;  // when the second of two rows is written
  if (token != gap_) {
    PLUMBLINE_CHECK(row.left() > 0 && token == row.residues[row.used], "a residue was written out of turn");
    ++row.used;
    state.column_has_residue = true;
  }
  if (++state.next_row < state.rows.size()) return;
  state.next_row = 0;
  state.column_has_residue = false;
  state.lone_row.reset();
  if (state.rows.size() != 2) return;
  if (first_has_residue && token == gap_) state.lone_row = 0;
  if (!first_has_residue) state.lone_row = 1;
}

}  // namespace plumbline
