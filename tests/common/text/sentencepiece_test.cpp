#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include "common/core/files.hpp"
#include "common/text/tokenizer.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

const fs::path kFolder = fs::path(PLUMBLINE_SOURCE_DIR) / "tests/common/text";
const fs::path kModel = kFolder / "spiece.model";
constexpr std::int32_t kPieces = 300;

std::unique_ptr<Tokenizer> load(int extra_ids) { return load_sentencepiece(kModel, extra_ids).value(); }

TEST(SentencePiece, GivesTheIdsOfTransformers) {
  const Json goldens = read_json_file(kFolder / "sentencepiece_goldens.json").value();
  ASSERT_EQ(goldens.at("tokenizers").size(), 2u);
  for (const Json& golden : goldens.at("tokenizers")) {
    const auto tokenizer = load(golden.at("extra_ids").get<int>());
    EXPECT_EQ(tokenizer->vocab_size(), golden.at("size").get<int>());
    ASSERT_EQ(golden.at("pieces").get<int>(), kPieces);
    ASSERT_GE(golden.at("texts").size(), 30u);
    for (const Json& row : golden.at("texts")) {
      const auto ids = row.at("ids").get<Ids>();
      EXPECT_EQ(tokenizer->encode(row.at("text").get<std::string>()), ids) << row << " by " << goldens.at("made_by");
      Ids words;  // The goldens' decoded texts are without extra ids.
      std::copy_if(ids.begin(), ids.end(), std::back_inserter(words), [](std::int32_t id) { return id < kPieces; });
      EXPECT_EQ(tokenizer->decode(words), row.at("decoded").get<std::string>()) << row;
    }
  }
}

TEST(SentencePiece, IsNamed) {
  const auto tokenizer = load(100);
  EXPECT_EQ(tokenizer->name(), "sentencepiece");
  EXPECT_EQ(tokenizer->vocab_size(), kPieces + 100);
}

TEST(SentencePiece, ExtraIdsCountDownFromTheEnd) {
  const auto tokenizer = load(100);
  EXPECT_EQ(tokenizer->encode("<extra_id_0>"), (Ids{399, kEosToken}));
  EXPECT_EQ(tokenizer->encode("<extra_id_99>"), (Ids{300, kEosToken}));
  EXPECT_EQ(load(1)->encode("<extra_id_0>"), (Ids{300, kEosToken}));
  EXPECT_GT(tokenizer->encode("<extra_id_100>").size(), 2u) << "there is no such extra id, so it is a text";
  EXPECT_EQ(tokenizer->encode("<extra_id_100>"), load(0)->encode("<extra_id_100>"));
  EXPECT_EQ(tokenizer->encode("<extra_id_99999999999999999999>"), load(0)->encode("<extra_id_99999999999999999999>"));
}

TEST(SentencePiece, DecodesExtraIdsAsTheyAreWritten) {
  const auto tokenizer = load(100);
  for (const std::string text : {"<extra_id_0>", "<extra_id_7> the <extra_id_12> folds", "the protein <extra_id_99>"})
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
}

TEST(SentencePiece, TextsComeBack) {
  const auto tokenizer = load(0);
  for (const std::string text : {"", "The protein folds.", "proteins unfolded, 42%", "hyphen-ated"})
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("  the  protein\n")), "the protein") << "white space is one space";
}

TEST(SentencePiece, AnEmptyTextIsItsEnd) { EXPECT_EQ(load(100)->encode(""), (Ids{kEosToken})); }

TEST(SentencePiece, UnknownCharactersAreUnknown) {
  const auto tokenizer = load(0);
  const Ids ids = tokenizer->encode("the 日本");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), kUnknownToken), 1) << "characters beside each other are one unknown";
  EXPECT_EQ(ids.back(), kEosToken);
  EXPECT_EQ(tokenizer->decode(ids), "the ") << "the space is a piece of its own, and known";
}

TEST(SentencePiece, TakesAnyBytes) {
  const auto tokenizer = load(100);
  std::string text;
  for (int b = 0; b < 256; ++b) text += static_cast<char>(b);
  const Ids ids = tokenizer->encode(text);
  EXPECT_TRUE(std::all_of(ids.begin(), ids.end(), [&](auto id) { return id >= 0 && id < tokenizer->vocab_size(); }));
  EXPECT_EQ(tokenizer->encode("\xFF\xFE").back(), kEosToken);
}

TEST(SentencePiece, DecodesUpToTheEndAndSkipsWhatIsNoText) {
  const auto tokenizer = load(100);
  const Ids the = tokenizer->encode("protein");
  ASSERT_EQ(the.size(), 2u);
  EXPECT_EQ(tokenizer->decode(Ids{kPadToken, the[0], kUnknownToken, 400, -1, 1 << 30, the[0], kEosToken, the[0]}),
            "protein protein");
  EXPECT_EQ(tokenizer->decode(Ids{}), "");
}

TEST(SentencePiece, WritesWhatTransformersReads) {
  std::map<std::string, std::string> files;
  for (auto& [name, content] : load(3)->hf_files()) files[name] = content;
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files.at(kSentencePieceFile), read_file(kModel).value()) << "as it was before it was loaded";
  const Json config = parse_json(files.at("tokenizer_config.json"), "tokenizer_config.json").value();
  EXPECT_EQ(config.at("tokenizer_class"), "T5Tokenizer");
  EXPECT_EQ(config.at("extra_ids"), 3);
  EXPECT_EQ(config.at("legacy"), false);
  const Json special = parse_json(files.at("special_tokens_map.json"), "special_tokens_map.json").value();
  EXPECT_EQ(special.at("eos_token"), "</s>");
  EXPECT_EQ(special.at("additional_special_tokens"), (Json{"<extra_id_0>", "<extra_id_1>", "<extra_id_2>"}));
}

class SentencePieceFile : public ::testing::Test {
 protected:
  SentencePieceFile() : file_(fs::path(testing::TempDir()) / "plumbline_spiece.model") {}
  ~SentencePieceFile() override { fs::remove(file_); }
  /// What loading a file of these bytes says.
  std::string refusal(const std::string& bytes) {
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << bytes;
    const auto tokenizer = load_sentencepiece(file_, 100);
    if (tokenizer.has_value()) return "";
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kData);
    EXPECT_THAT(to_string(tokenizer.error()), testing::HasSubstr(file_.string()));
    return to_string(tokenizer.error());
  }
  fs::path file_;
};

TEST_F(SentencePieceFile, OfAnotherKindIsRefused) {
  using testing::HasSubstr;
  EXPECT_THAT(refusal(""), HasSubstr("no SentencePiece model"));
  EXPECT_THAT(refusal("{\"model\": 1}"), HasSubstr("no SentencePiece model"));
  const std::string whole = read_file(kModel).value();
  EXPECT_EQ(refusal(whole), "");
  EXPECT_THAT(refusal(whole.substr(0, whole.size() - 3)), HasSubstr("no SentencePiece model"));
  EXPECT_THAT(refusal(whole.substr(0, whole.size() / 2)), HasSubstr("no SentencePiece model"));
}

TEST_F(SentencePieceFile, ThatEndsBehindAPieceIsRefused) {
  const std::string whole = read_file(kModel).value();
  int cuts = 0;
  for (std::size_t n = 0; whole[n] == '\n'; n += 2 + static_cast<unsigned char>(whole[n + 1]), ++cuts)
    EXPECT_THAT(refusal(whole.substr(0, n)), testing::HasSubstr("no SentencePiece model")) << n;
  EXPECT_GT(cuts, 200);
}

TEST_F(SentencePieceFile, WithOtherSpecialIdsIsRefused) {
  std::string bytes = read_file(kModel).value();
  const std::size_t pad = bytes.find("<pad>");
  ASSERT_NE(pad, std::string::npos);
  bytes.replace(pad, 5, "<pat>");
  EXPECT_THAT(refusal(bytes), testing::HasSubstr("not T5's 0, 1 and 2"));
}

TEST_F(SentencePieceFile, ThatIsMissingIsNamed) {
  const auto tokenizer = load_sentencepiece(kFolder / "none.model", 100);
  ASSERT_TRUE(tokenizer.has_error());
  EXPECT_THAT(to_string(tokenizer.error()), testing::HasSubstr("none.model"));
}

}  // namespace
}  // namespace plumbline
