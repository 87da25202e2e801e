#include "coordinator/curate/example_check.hpp"

#include <cctype>
#include <utility>

namespace plumbline {

namespace {

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos; }

/// Whether both sides are there and hold the same words.
bool same_but_for_form(const Imported& example) {
  if (!example.desired || !example.undesired) return false;
  const std::string words = without_form(*example.desired);
  return !words.empty() && words == without_form(*example.undesired);
}

}  // namespace

std::string without_form(std::string_view text) {
  std::string kept;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80)
      kept += c;
    else if (std::isalnum(byte) != 0)
      kept += static_cast<char>(std::tolower(byte));
  }
  return kept;
}

Result<ExampleCheck> ExampleCheck::make(const Recipe& recipe, const Tokenizer& tokenizer) {
  ExampleCheck check(recipe, tokenizer);
  for (const NormRecipe& norm : recipe.norms) {
    check.judges_.emplace_back();
    if (norm.norm.judge != JudgeKind::kRules) continue;
    PLUMBLINE_ASSIGN(check.judges_.back(), make_rule_judge(norm.norm.rules, "norms." + norm.norm.name));
  }
  return check;
}

bool ExampleCheck::too_long(const Imported& example) const {
  const auto exceeds = [&](const std::string& text, const std::optional<int>& limit) {
    return limit && tokenizer_->encode(text).size() > static_cast<std::size_t>(*limit);
  };
  return exceeds(example.source, recipe_->max_source_tokens) ||
         (example.desired && exceeds(*example.desired, recipe_->max_output_tokens)) ||
         (example.undesired && exceeds(*example.undesired, recipe_->max_output_tokens));
}

std::optional<Reason> ExampleCheck::refuse(const Imported& example, std::size_t norm) const {
  if (is_blank(example.source)) return Reason::kEmptySource;
  if (!example.desired && !example.undesired) return Reason::kEmptyOutput;
  if (example.desired && is_blank(*example.desired)) return Reason::kEmptyOutput;
  if (example.undesired && is_blank(*example.undesired)) return Reason::kEmptyOutput;
  if (example.desired && example.undesired && *example.desired == *example.undesired)
    return Reason::kDesiredEqualsUndesired;
  if (recipe_->norms[norm].ignore_form && same_but_for_form(example)) return Reason::kSidesEqualInWords;
  if (too_long(example)) return Reason::kTooLong;
  const Judge* judge = judges_[norm].get();
  if (judge != nullptr && example.desired && judge->judge(example.source, *example.desired).undesirable)
    return Reason::kDesiredBreaksRules;
  return std::nullopt;
}

std::vector<Reason> ExampleCheck::remarks(const Imported& example, std::size_t norm) const {
  std::vector<Reason> remarks;
  const Judge* judge = judges_[norm].get();
  if (judge != nullptr && example.undesired && !judge->judge(example.source, *example.undesired).undesirable)
    remarks.push_back(Reason::kUndesiredKeepsRules);
  if (same_but_for_form(example)) remarks.push_back(Reason::kSidesDifferInFormOnly);
  return remarks;
}

}  // namespace plumbline
