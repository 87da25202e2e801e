// What curation leaves out of a dataset or remarks on, and where it stood in the files. Every left-out example is
// counted; its row numbers are kept up to a bound, so a broken file cannot fill the data card.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/core/json.hpp"

namespace plumbline {

/// Why an example is not in the dataset, or (from kUndesiredKeepsRules on) is worth a look although it is.
enum class Reason {
  kWrongColumns,
  kBrokenQuotes,
  kNoSharedTurn,
  kRowOfGaps,
  kRowTooLong,
  kSingleRow,
  kTooFewRows,
  kEmptySource,
  kEmptyOutput,
  kDesiredEqualsUndesired,
  kSidesEqualInWords,
  kTooLong,
  kDuplicate,
  kOpposingLabels,
  kNearHeldOut,
  kDesiredBreaksRules,
  kUndesiredKeepsRules,
  kSidesDifferInFormOnly,
};
/// Key in dataset.json, "desired_equals_undesired".
const char* key_of(Reason reason);
/// What a person reads, "desired and undesired output are the same".
const char* sentence_of(Reason reason);
/// Whether an example with this remark stays in the dataset.
bool is_kept(Reason reason);
/// Whether it concerns a row of an alignment, from which examples are drawn, and not an example.
bool is_about_a_row(Reason reason);

/// Where an example stands: a line of a file, counted from 1, as an editor shows it.
struct Place {
  std::uint32_t source = 0;  ///< index into the recipe's sources
  std::uint32_t file = 0;    ///< index into the source's files
  std::int64_t line = 0;
};

/// Counts and places by source and reason.
class LeftOut {
 public:
  static constexpr std::size_t kMaxPlaces = 1000;  ///< places kept for one source and reason

  struct Entry {
    std::int64_t count = 0;
    std::vector<Place> places;  ///< the first kMaxPlaces
  };
  void add(Reason reason, const Place& place);
  /// By (source, reason).
  [[nodiscard]] const std::map<std::pair<std::uint32_t, Reason>, Entry>& entries() const { return entries_; }
  [[nodiscard]] std::int64_t count(Reason reason) const;
  /// Examples that are not in the dataset.
  [[nodiscard]] std::int64_t total() const;

 private:
  std::map<std::pair<std::uint32_t, Reason>, Entry> entries_;
};

}  // namespace plumbline
