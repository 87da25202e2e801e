#include "common/text/tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace plumbline {
namespace {

using Ids = std::vector<std::int32_t>;

const std::unique_ptr<Tokenizer> kBytes = make_tokenizer("byte").value();

TEST(ByteTokenizer, GivesByT5sIds) {
  // transformers 5.23.0: ByT5Tokenizer()("Life é…").input_ids
  EXPECT_EQ(kBytes->encode("Life é…"), (Ids{79, 108, 105, 104, 35, 198, 172, 229, 131, 169, 1}));
  EXPECT_EQ(kBytes->encode(""), (Ids{kEosToken}));
  EXPECT_EQ(kBytes->vocab_size(), 384);
  EXPECT_EQ(kBytes->name(), "byte");
}

TEST(ByteTokenizer, EveryByteComesBack) {
  std::string text;
  for (int b = 1; b < 128; ++b) text += static_cast<char>(b);
  text += "\0é…😀";
  EXPECT_EQ(kBytes->decode(kBytes->encode(text)), text);
}

TEST(ByteTokenizer, DecodesUpToTheEnd) {
  EXPECT_EQ(kBytes->decode(Ids{100, 101, kEosToken, 102}), "ab");
  EXPECT_EQ(kBytes->decode(Ids{kPadToken, 100, kUnknownToken, 101, 259, 383, 384, -1, 1 << 30}), "ab");
  EXPECT_EQ(kBytes->decode(Ids{}), "");
}

TEST(ByteTokenizer, DecodesBrokenUtf8AsReplacements) {
  EXPECT_EQ(kBytes->decode(Ids{0xC3 + 3, 'a' + 3, 0xFF + 3}),
            "\xEF\xBF\xBD"
            "a\xEF\xBF\xBD");
}

TEST(ByteTokenizer, WritesWhatTransformersReads) {
  std::map<std::string, Json> files;
  for (const auto& [name, content] : kBytes->hf_files()) files[name] = parse_json(content, name).value();
  EXPECT_EQ(files.at("tokenizer_config.json").at("tokenizer_class"), "ByT5Tokenizer");
  EXPECT_EQ(files.at("tokenizer_config.json").at("extra_ids"), 125);
  EXPECT_EQ(files.at("special_tokens_map.json").at("eos_token"), "</s>");
}

TEST(MakeTokenizer, RefusesAnother) {
  const auto result = make_tokenizer("sentencepiece");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kData);
  EXPECT_THAT(to_string(result.error()), testing::HasSubstr("tokenizer \"sentencepiece\""));
}

}  // namespace
}  // namespace plumbline
