#include "coordinator/curate/left_out.hpp"

#include <utility>

#include "common/core/check.hpp"

namespace plumbline {

namespace {

struct Words {
  const char* key;
  const char* sentence;
};

Words words_of(Reason reason) {
  switch (reason) {
    case Reason::kWrongColumns:
      return {"wrong_number_of_columns", "the row has another number of columns than the header"};
    case Reason::kBrokenQuotes:
      return {"broken_quotes", "a quoted cell does not end on its line"};
    case Reason::kNoSharedTurn:
      return {"no_shared_turn", "the two dialogues share no turn of the assistant"};
    case Reason::kRowOfGaps:
      return {"row_of_gaps", "the row of the alignment holds gaps only"};
    case Reason::kRowTooLong:
      return {"row_too_long", "the row of the alignment has more residues than max_residues"};
    case Reason::kSingleRow:
      return {"single_row", "fewer than two rows of the alignment are left"};
    case Reason::kTooFewRows:
      return {"too_few_rows", "the alignment has fewer rows than rows_per_example asks for"};
    case Reason::kEmptySource:
      return {"empty_source", "the source is empty"};
    case Reason::kEmptyOutput:
      return {"empty_output", "an output is empty"};
    case Reason::kDesiredEqualsUndesired:
      return {"desired_equals_undesired", "desired and undesired output are the same"};
    case Reason::kSidesEqualInWords:
      return {"desired_equals_undesired_in_words",
              "desired and undesired output are the same but for letter case, white space and punctuation"};
    case Reason::kTooLong:
      return {"too_long", "the source or an output has more tokens than the recipe allows"};
    case Reason::kDuplicate:
      return {"duplicate", "an earlier example is the same"};
    case Reason::kOpposingLabels:
      return {"opposing_labels", "an output is desired here and undesired there for the same source"};
    case Reason::kNearHeldOut:
      return {"near_held_out", "it may only train, and is a near copy of a held-out example"};
    case Reason::kDesiredBreaksRules:
      return {"desired_breaks_rules", "the desired output breaks the rules of its own norm"};
    case Reason::kUndesiredKeepsRules:
      return {"undesired_keeps_rules",
              "the undesired output keeps the rules of its norm, which cannot see what is wrong"};
    case Reason::kSidesDifferInFormOnly:
      return {"sides_differ_in_form_only",
              "desired and undesired output differ in letter case, white space or punctuation only"};
  }
  PLUMBLINE_CHECK(false, "a reason without words");
}

}  // namespace

const char* key_of(Reason reason) { return words_of(reason).key; }
const char* sentence_of(Reason reason) { return words_of(reason).sentence; }
bool is_kept(Reason reason) { return reason >= Reason::kUndesiredKeepsRules; }
bool is_about_a_row(Reason reason) { return reason == Reason::kRowOfGaps || reason == Reason::kRowTooLong; }

void LeftOut::add(Reason reason, const Place& place) {
  Entry& entry = entries_[{place.source, reason}];
  ++entry.count;
  if (entry.places.size() < kMaxPlaces) entry.places.push_back(place);
}

std::int64_t LeftOut::count(Reason reason) const {
  std::int64_t sum = 0;
  for (const auto& [key, entry] : entries_) sum += key.second == reason ? entry.count : 0;
  return sum;
}

std::int64_t LeftOut::total() const {
  std::int64_t sum = 0;
  for (const auto& [key, entry] : entries_) sum += is_kept(key.second) || is_about_a_row(key.second) ? 0 : entry.count;
  return sum;
}

}  // namespace plumbline
