#include "common/text/tokenizer.hpp"

#include "common/core/utf8.hpp"

namespace plumbline {

namespace {

/// Xue et al. 2022, "ByT5": ids are bytes after three special tokens; 125 sentinels fill the vocabulary up to 384.
class ByteTokenizer final : public Tokenizer {
 public:
  [[nodiscard]] std::string name() const override { return "byte"; }
  [[nodiscard]] std::int32_t vocab_size() const override { return kFirstByte + 256 + kSentinels; }

  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    ids.reserve(text.size() + 1);
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c) + kFirstByte);
    ids.push_back(kEosToken);
    return ids;
  }

  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids) const override {
    std::string bytes;
    bytes.reserve(ids.size());
    for (const std::int32_t id : ids) {
      if (id == kEosToken) break;
      if (id >= kFirstByte && id < kFirstByte + 256) bytes.push_back(static_cast<char>(id - kFirstByte));
    }
    return replace_invalid_utf8(bytes);
  }

  [[nodiscard]] std::vector<std::pair<std::string, std::string>> hf_files() const override {
    const Json special = {{"eos_token", "</s>"}, {"pad_token", "<pad>"}, {"unk_token", "<unk>"}};
    Json config = special;
    config["tokenizer_class"] = "ByT5Tokenizer";
    config["extra_ids"] = kSentinels;
    return {{"special_tokens_map.json", special.dump(2) + "\n"}, {"tokenizer_config.json", config.dump(2) + "\n"}};
  }

 private:
  static constexpr std::int32_t kFirstByte = 3;
  static constexpr std::int32_t kSentinels = 125;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> make_tokenizer(const std::string& name) {
  if (name == "byte") return std::make_unique<ByteTokenizer>();
  if (name == "sentencepiece")
    return data_error("the tokenizer \"" + name + "\" needs the file of its dataset", "",
                      "Name the dataset folder, whose dataset.json says which file that is.");
  return data_error("the tokenizer \"" + name + "\" is not known", "", "Known: byte, sentencepiece.");
}

std::string text_of(const Tokenizer& tokenizer, std::span<const std::int64_t> ids) {
  return tokenizer.decode(std::vector<std::int32_t>(ids.begin(), ids.end()));
}

}  // namespace plumbline
