#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/config/run_config.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

const std::filesystem::path kGoldens = std::filesystem::path(PLUMBLINE_SOURCE_DIR) / "tests" / "parity" / "goldens";

std::string refusal(const Json& config) {
  const auto result = from_hf_config(config, "config.json");
  if (result) return "no error";
  EXPECT_EQ(result.error().code, ErrorCode::kData);
  return to_string(result.error());
}

TEST(HfConfig, GoesBothWays) {
  for (const bool gated : {true, false}) {
    ModelConfig model;
    model.d_model = 40;
    model.num_decoder_layers = 5;
    model.dropout_rate = 0.25;
    model.feed_forward_proj = gated ? "gated-gelu" : "relu";
    model.tie_word_embeddings = !gated;
    EXPECT_EQ(from_hf_config(to_hf_config(model), "config.json").value(), model);
  }
}

TEST(HfConfig, SaysWhatTransformersNeeds) {
  const Json json = to_hf_config({});
  EXPECT_EQ(json.at("model_type"), "t5");
  EXPECT_EQ(json.at("architectures"), (Json{"T5ForConditionalGeneration"}));
  EXPECT_EQ(json.at("decoder_start_token_id"), 0);
  EXPECT_EQ(json.at("pad_token_id"), 0);
  EXPECT_EQ(json.at("eos_token_id"), 1);
  EXPECT_EQ(json.at("dense_act_fn"), "gelu_new");
  EXPECT_EQ(json.at("is_gated_act"), true);
  EXPECT_EQ(json.at("is_encoder_decoder"), true);
  EXPECT_EQ(json.at("vocab_size"), 384);
  EXPECT_FALSE(json.contains("init"));
}

TEST(HfConfig, ReadsWhatTransformersWrote) {
  for (const char* kind : {"gated", "relu"}) {
    const Json json = read_json_file(kGoldens / kind / "config.json").value();
    const auto model = from_hf_config(json, kind);
    ASSERT_TRUE(model) << to_string(model.error());
    EXPECT_EQ(model->vocab_size, 96);
    EXPECT_EQ(model->relative_attention_num_buckets, 12);
    EXPECT_EQ(model->feed_forward_proj == "relu", std::string(kind) == "relu");
  }
}

TEST(HfConfig, TakesTransformersDefaultsForWhatIsLeftOut) {
  // The keys of google/byt5-small's config.json that matter here.
  const Json byt5 = {{"model_type", "t5"},
                     {"vocab_size", 384},
                     {"d_model", 1472},
                     {"d_kv", 64},
                     {"d_ff", 3584},
                     {"num_layers", 12},
                     {"num_heads", 6},
                     {"feed_forward_proj", "gated-gelu"},
                     {"num_decoder_layers", 4},
                     {"tie_word_embeddings", false}};
  const ModelConfig model = from_hf_config(byt5, "config.json").value();
  EXPECT_EQ(model.relative_attention_max_distance, 128);
  EXPECT_EQ(model.dropout_rate, 0.1);
  EXPECT_EQ(model.num_decoder_layers, 4);
  Json old = byt5;
  for (const char* key : {"num_decoder_layers", "tie_word_embeddings", "feed_forward_proj"}) old.erase(key);
  const ModelConfig t5 = from_hf_config(old, "config.json").value();
  EXPECT_EQ(t5.num_decoder_layers, 12);
  EXPECT_TRUE(t5.tie_word_embeddings);
  EXPECT_EQ(t5.feed_forward_proj, "relu");
}

TEST(HfConfig, RefusesWhatPlumblineDoesNotCompute) {
  const std::pair<const char*, Json> wrong[] = {{"model_type", "umt5"},
                                                {"feed_forward_proj", "gated-tanh"},
                                                {"dense_act_fn", "silu"},
                                                {"is_gated_act", false},
                                                {"is_encoder_decoder", false},
                                                {"decoder_start_token_id", 2},
                                                {"pad_token_id", 1},
                                                {"eos_token_id", 2},
                                                {"quantization_config", Json::object()},
                                                {"architectures", {"T5EncoderModel"}},
                                                {"scale_decoder_outputs", true},
                                                {"relative_attention_num_buckets", 31},
                                                {"relative_attention_max_distance", 16},
                                                {"d_model", 0},
                                                {"d_model", 1.5},
                                                {"d_model", 9223372036854775807},
                                                {"num_heads", "4"},
                                                {"dropout_rate", 1.0},
                                                {"tie_word_embeddings", "no"}};
  for (const auto& [key, value] : wrong) {
    Json config = to_hf_config({});
    config[key] = value;
    EXPECT_THAT(refusal(config), AllOf(HasSubstr("config.json"), HasSubstr(key))) << value;
  }
  for (const char* key : {"vocab_size", "d_model", "num_layers", "model_type"}) {
    Json config = to_hf_config({});
    config.erase(key);
    EXPECT_THAT(refusal(config), HasSubstr(key));
  }
  EXPECT_THAT(refusal(Json::array()), HasSubstr("object"));
}

TEST(HfConfig, AHeadThatDoesNotScaleIsUntied) {
  Json config = to_hf_config({});
  EXPECT_FALSE(head_may_be_shared(config));
  config["tie_word_embeddings"] = true;
  config["scale_decoder_outputs"] = false;
  EXPECT_FALSE(from_hf_config(config, "config.json").value().tie_word_embeddings);
  EXPECT_TRUE(head_may_be_shared(config));
}

TEST(HfConfig, ReadsMt5WithItsOwnDefaults) {
  // The keys of google/mt5-small's config.json that matter here.
  Json config = {{"model_type", "mt5"},
                 {"architectures", {"MT5ForConditionalGeneration"}},
                 {"vocab_size", 250112},
                 {"d_model", 512},
                 {"d_kv", 64},
                 {"d_ff", 1024},
                 {"num_layers", 8},
                 {"num_heads", 6},
                 {"num_decoder_layers", 8},
                 {"tie_word_embeddings", false},
                 {"tokenizer_class", "T5Tokenizer"}};
  const ModelConfig model = from_hf_config(config, "config.json").value();
  EXPECT_EQ(model.feed_forward_proj, "gated-gelu");
  EXPECT_FALSE(model.tie_word_embeddings);
  EXPECT_EQ(to_hf_config(model).at("model_type"), "t5");
  EXPECT_EQ(to_hf_config(model).at("scale_decoder_outputs"), false);
  config["tie_word_embeddings"] = true;  // as Transformers 5 always writes
  EXPECT_EQ(from_hf_config(config, "config.json").value(), model);
  EXPECT_TRUE(head_may_be_shared(config));
  Json wrong = config;
  wrong["scale_decoder_outputs"] = true;
  EXPECT_THAT(refusal(wrong), HasSubstr("scale_decoder_outputs"));
  config["architectures"] = {"T5ForConditionalGeneration"};
  EXPECT_THAT(refusal(config), HasSubstr("MT5ForConditionalGeneration"));
}

TEST(HfConfig, KnowsWhatAFeedForwardNameMeans) {
  const FeedForward gated = feed_forward_of("gated-gelu"), plain = feed_forward_of("gelu");
  EXPECT_TRUE(gated.gated);
  EXPECT_EQ(gated.activation, Activation::kGeluNew) << "as HF takes it";
  EXPECT_FALSE(plain.gated);
  EXPECT_EQ(plain.activation, Activation::kGelu);
  for (const std::string& name : feed_forward_names()) {
    ModelConfig model;
    model.feed_forward_proj = name;
    const Json json = to_hf_config(model);
    EXPECT_EQ(from_hf_config(json, "config.json").value(), model) << name;
    EXPECT_EQ(json.at("is_gated_act"), name.starts_with("gated-")) << name;
  }
}

}  // namespace
}  // namespace plumbline
