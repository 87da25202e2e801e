#include "coordinator/curate/dialogue_importer.hpp"

#include <algorithm>
#include <string>

#include "coordinator/curate/jsonl_importer.hpp"

namespace plumbline {

namespace {

constexpr std::string_view kTurn = "\n\nAssistant:";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

std::optional<SplitDialogue> split_at_last_shared_turn(std::string_view first, std::string_view second) {
  const auto shortest = std::min(first.size(), second.size());
  const auto shared = static_cast<std::size_t>(
      std::mismatch(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(shortest), second.begin()).first -
      first.begin());
  const auto turn = first.substr(0, shared).rfind(kTurn);
  if (turn == std::string_view::npos) return std::nullopt;
  const auto cut = turn + kTurn.size();
  return SplitDialogue{trimmed(first.substr(0, cut)), trimmed(first.substr(cut)), trimmed(second.substr(cut))};
}

Status DialogueImporter::read(LineReader& lines, ImportSink& sink) const {
  while (true) {
    PLUMBLINE_ASSIGN(const std::optional<Json> row, next_json_object(lines));
    if (!row) return {};
    PLUMBLINE_ASSIGN(const auto desired, text_member(*row, format_.desired, lines.where()));
    PLUMBLINE_ASSIGN(const auto undesired, text_member(*row, format_.undesired, lines.where()));
    if (!desired || !undesired)
      return data_error("the key \"" + (desired ? format_.undesired : format_.desired) + "\" is missing", lines.where(),
                        keys_hint(*row) + " fields: in the recipe says which key is which.");
    const auto parts = split_at_last_shared_turn(*desired, *undesired);
    if (!parts) {
      sink.leave_out(Reason::kNoSharedTurn, lines.line());
      continue;
    }
    Imported example;
    example.line = lines.line();
    example.source = parts->source;
    example.desired = std::string(parts->first);
    example.undesired = std::string(parts->second);
    PLUMBLINE_TRY(sink.take(std::move(example)));
  }
}

}  // namespace plumbline
