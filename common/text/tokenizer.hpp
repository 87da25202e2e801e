// Tokenizers. The default is ByT5's: pad 0, eos 1, unk 2, byte b -> b + 3, 125 sentinels at the end (vocab 384). The
// other is SentencePiece with a model from a file, as T5, FLAN-T5 and mT5 have it. What a dataset was made with is
// opened by the dataset (common/data/dataset.hpp). A tokenizer may be used from several threads at once.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/json.hpp"
#include "common/core/result.hpp"

namespace plumbline {

inline constexpr std::int32_t kPadToken = 0;
inline constexpr std::int32_t kEosToken = 1;
inline constexpr std::int32_t kUnknownToken = 2;
inline constexpr const char* kSentencePieceFile = "spiece.model";
inline constexpr int kMaxExtraIds = 10'000;

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// "byte" or "sentencepiece"; what dataset.json and a checkpoint record.
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual std::int32_t vocab_size() const = 0;
  /// Ids of `text`, with one EOS at the end.
  [[nodiscard]] virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  /// Text of `ids` up to the first EOS; pad and unknown ids are skipped; broken UTF-8 becomes U+FFFD.
  [[nodiscard]] virtual std::string decode(std::span<const std::int32_t> ids) const = 0;
  /// Files that HF Transformers needs beside the model: name -> content.
  [[nodiscard]] virtual std::vector<std::pair<std::string, std::string>> hf_files() const = 0;
};

/// decode() of ids as datasets and tensors hold them.
std::string text_of(const Tokenizer& tokenizer, std::span<const std::int64_t> ids);

/// A tokenizer that needs no file: `name` is "byte".
Result<std::unique_ptr<Tokenizer>> make_tokenizer(const std::string& name);
/// "sentencepiece", with `extra_ids` (0 to kMaxExtraIds) behind the model's pieces. A file that is no model with T5's
/// ids is a data error that names it. The library trusts the tables within a model, so a file from elsewhere must be
/// one that its reader trusts, and a copy is compared with its SHA-256 first.
Result<std::unique_ptr<Tokenizer>> load_sentencepiece(const std::filesystem::path& file, int extra_ids);

}  // namespace plumbline
