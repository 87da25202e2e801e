// SentencePiece (Kudo & Richardson 2018) with T5's conventions, by Google's library: a text is segmented as HF's
// T5Tokenizer(legacy=False) does it. The model has pad 0, eos 1, unk 2; extra ids follow its pieces, <extra_id_0> last.
#include <sentencepiece_processor.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "common/core/check.hpp"
#include "common/core/files.hpp"
#include "common/core/utf8.hpp"
#include "common/text/tokenizer.hpp"

/// libsentencepiece and libtorch's libc10 each have a global variable of this name, of 32 bytes and of 4. The dynamic
/// linker binds both to the one that it finds first. Where that was libc10's, what sentencepiece puts there when a
/// program begins ran over the variables beside it, and torch aborted where it was to throw. A program's own comes
/// first, and has room for both.
extern char FLAGS_minloglevel[64];
alignas(16) char FLAGS_minloglevel[64] = {};

namespace plumbline {

namespace {

using namespace std::string_view_literals;

constexpr std::size_t kMaxModelBytes = 256u << 20u;
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, a space inside the model
constexpr std::string_view kExtraIdBegin = "<extra_id_";
constexpr std::string_view kWhiteSpace = " \t\n\v\f\r";

/// Appended to a serialised model: field 3 (normalizer_spec) with its field 3 (add_dummy_prefix) false. Protocol
/// buffers merge a field that comes twice, so this is what HF sets before it loads the model.
constexpr std::string_view kNoDummyPrefix = "\x1a\x02\x18\x00"sv;

std::string_view strip_end(std::string_view text) { return text.substr(0, text.find_last_not_of(kWhiteSpace) + 1); }
std::string_view strip_begin(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kWhiteSpace), text.size()));
}

/// The marks of a text become spaces, as HF has it.
std::string without_marks(std::string_view text) {
  std::string out;
  for (std::size_t begin = 0;;) {
    const std::size_t mark = text.find(kSpaceMark, begin);
    out += text.substr(begin, mark - begin);
    if (mark == std::string_view::npos) return out;
    out += ' ';
    begin = mark + kSpaceMark.size();
  }
}

/// A varint at the beginning of `bytes`, taken away from there.
std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

/// Whether the serialised model has a normalizer_spec, which stands behind all pieces. A file that is cut between two
/// pieces has none, and is a smaller model to the library.
bool is_whole(std::string_view model) {
  constexpr std::uint64_t kNormalizerSpec = 3, kLengthDelimited = 2;
  while (!model.empty()) {
    const auto tag = take_varint(model), length = take_varint(model);
    if (!tag || !length || (*tag & 7u) != kLengthDelimited || *length > model.size()) return false;
    if (*tag >> 3u == kNormalizerSpec) return true;
    model.remove_prefix(*length);
  }
  return false;
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> load(const std::filesystem::path& file, int extra_ids) {
    std::unique_ptr<SentencePieceTokenizer> tokenizer(new SentencePieceTokenizer(extra_ids));
    PLUMBLINE_ASSIGN(tokenizer->model_, read_file(file, kMaxModelBytes));
    auto& processor = tokenizer->processor_;
    const auto load = [&](const std::string& bytes) -> Status {
      const auto status = processor.LoadFromSerializedProto(bytes);
      if (status.ok() && is_whole(bytes)) return {};
      return data_error(
          "this is no SentencePiece model: " + std::string(status.ok() ? "it ends behind a piece" : status.message()),
          file.string(), "The file is damaged or of another kind; use the spiece.model of a T5 model.");
    };
    PLUMBLINE_TRY(load(tokenizer->model_));  // As it is first: to a damaged end more bytes could give a meaning.
    PLUMBLINE_TRY(load(tokenizer->model_ + std::string(kNoDummyPrefix)));
    if (processor.pad_id() != kPadToken || processor.eos_id() != kEosToken || processor.unk_id() != kUnknownToken)
      return data_error("the model's pad, eos and unk have the ids " + std::to_string(processor.pad_id()) + ", " +
                            std::to_string(processor.eos_id()) + " and " + std::to_string(processor.unk_id()) +
                            ", not T5's 0, 1 and 2",
                        file.string(), "Train it with --pad_id=0 --eos_id=1 --unk_id=2 --bos_id=-1.");
    tokenizer->unknown_length_ = tokenizer->pieces_of(kUnknown).size();
    return Result<std::unique_ptr<Tokenizer>>(boost::system::in_place_value, std::move(tokenizer));
  }

  [[nodiscard]] std::string name() const override { return "sentencepiece"; }
  [[nodiscard]] std::int32_t vocab_size() const override { return processor_.GetPieceSize() + extra_ids_; }

  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view given) const override {
    const std::string text = without_marks(given);
    std::vector<std::int32_t> ids;
    std::size_t begin = 0;
    for (auto extra = find_extra_id(text, begin);; extra = find_extra_id(text, begin)) {
      std::string_view part = std::string_view(text).substr(begin, extra ? extra->begin - begin : std::string::npos);
      if (begin > 0) part = strip_begin(part);
      if (extra) part = strip_end(part);
      if (!part.empty()) append(ids, part, begin == 0);
      if (!extra) break;
      ids.push_back(extra->id);
      begin = extra->end;
    }
    ids.push_back(kEosToken);
    return ids;
  }

  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids) const override {
    const std::int32_t pieces = processor_.GetPieceSize();
    std::string text;
    const auto append_word = [&](const std::string& word) {
      if (!word.empty()) text += (text.empty() ? "" : " ") + word;
    };
    std::vector<int> run;
    const auto finish_run = [&] {
      std::string part;
      const auto status = processor_.Decode(run, &part);
      PLUMBLINE_CHECK(status.ok(), "SentencePiece cannot decode: " + status.ToString());
      append_word(part.starts_with(' ') ? part.substr(1) : part);
      run.clear();
    };
    for (const std::int32_t id : ids) {
      if (id == kEosToken) break;
      if (id > kUnknownToken && id < pieces) run.push_back(id);
      if (id < pieces || id >= vocab_size()) continue;
      finish_run();
      append_word(std::string(kExtraIdBegin) + std::to_string(vocab_size() - 1 - id) + ">");
    }
    finish_run();
    return replace_invalid_utf8(text);
  }

  [[nodiscard]] std::vector<std::pair<std::string, std::string>> hf_files() const override {
    Json special = {{"eos_token", "</s>"}, {"pad_token", kPad}, {"unk_token", kUnknown}};
    Json config = special;
    config["tokenizer_class"] = "T5Tokenizer";
    config["extra_ids"] = extra_ids_;
    config["legacy"] = false;
    config["clean_up_tokenization_spaces"] = false;
    special["additional_special_tokens"] = Json::array();
    for (int i = 0; i < extra_ids_; ++i)
      special["additional_special_tokens"].push_back(std::string(kExtraIdBegin) + std::to_string(i) + ">");
    config["additional_special_tokens"] = special["additional_special_tokens"];
    return {{"special_tokens_map.json", special.dump(2) + "\n"},
            {"tokenizer_config.json", config.dump(2) + "\n"},
            {kSentencePieceFile, model_}};
  }

 private:
  static constexpr const char* kPad = "<pad>";
  static constexpr const char* kUnknown = "<unk>";
  struct ExtraId {
    std::size_t begin, end;  ///< bytes of the text
    std::int32_t id;
  };

  explicit SentencePieceTokenizer(int extra_ids) : extra_ids_(extra_ids) {}

  [[nodiscard]] std::vector<int> pieces_of(std::string_view text) const {
    std::vector<int> ids;
    const auto status = processor_.Encode(text, &ids);
    PLUMBLINE_CHECK(status.ok(), "SentencePiece cannot encode: " + status.ToString());
    return ids;
  }

  /// The library drops a space at the beginning, and a text begins with one; so HF encodes it behind "<unk>", whose
  /// pieces are then taken away. A part behind an extra id has no such space.
  void append(std::vector<std::int32_t>& ids, std::string_view part, bool begins_text) const {
    std::string text;
    if (begins_text) text.append(kUnknown).append(kSpaceMark);
    const std::vector<int> pieces = pieces_of(text.append(part));
    const std::size_t skipped = begins_text ? std::min(unknown_length_, pieces.size()) : 0;
    ids.insert(ids.end(), pieces.begin() + static_cast<std::ptrdiff_t>(skipped), pieces.end());
  }

  /// The next "<extra_id_N>" that there is, N without leading zeros.
  [[nodiscard]] std::optional<ExtraId> find_extra_id(std::string_view text, std::size_t from) const {
    for (std::size_t at = text.find(kExtraIdBegin, from); at != std::string_view::npos;
         at = text.find(kExtraIdBegin, at + 1)) {
      const std::size_t digits = at + kExtraIdBegin.size();
      int number = -1;
      const auto [end, error] = std::from_chars(text.data() + digits, text.data() + text.size(), number);
      const auto length = static_cast<std::size_t>(end - text.data()) - digits;
      const bool closed = digits + length < text.size() && text[digits + length] == '>';
      if (error != std::errc() || !closed || number < 0 || number >= extra_ids_) continue;
      if (length != std::to_string(number).size()) continue;
      return ExtraId{at, digits + length + 1, vocab_size() - 1 - number};
    }
    return std::nullopt;
  }

  sentencepiece::SentencePieceProcessor processor_;
  std::string model_;  ///< the file, for hf_files
  int extra_ids_ = 0;
  std::size_t unknown_length_ = 0;  ///< pieces of "<unk>" written out
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_sentencepiece(const std::filesystem::path& file, int extra_ids) {
  return SentencePieceTokenizer::load(file, extra_ids);
}

}  // namespace plumbline
