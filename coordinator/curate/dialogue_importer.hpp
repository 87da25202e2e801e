// Lines of JSON that hold one dialogue twice: with the answer people chose and with the one they rejected (Anthropic's
// HH data, Bai et al. 2022). The source is what both share up to and including the last "\n\nAssistant:", the outputs
// are the two rests; white space around each part is no part of it.
#pragma once
#include <optional>
#include <string_view>
#include <utility>

#include "coordinator/curate/importer.hpp"

namespace plumbline {

class DialogueImporter final : public Importer {
 public:
  explicit DialogueImporter(DialoguesFormat format) : format_(std::move(format)) {}
  Status read(LineReader& lines, ImportSink& sink) const override;

 private:
  DialoguesFormat format_;
};

struct SplitDialogue {
  std::string_view source, first, second;  ///< views into the two dialogues
};
/// Nothing when the dialogues share no turn of the assistant.
std::optional<SplitDialogue> split_at_last_shared_turn(std::string_view first, std::string_view second);

}  // namespace plumbline
