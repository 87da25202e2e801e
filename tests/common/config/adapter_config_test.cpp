#include "common/config/adapter_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::filesystem::path kByPeft = std::filesystem::path(PLUMBLINE_SOURCE_DIR) / "tests/parity/goldens/lora";

LoraConfig golden() {
  LoraConfig lora;
  lora.rank = 3, lora.alpha = 5, lora.dropout = 0.25, lora.targets = {"q", "v", "o", "wi_1"};
  return lora;
}

std::string refused(const Json& change) {
  Json json = to_peft_config(golden());
  json.merge_patch(change);
  const auto read = from_peft_config(json, "adapter_config.json");
  if (read) return "no error";
  EXPECT_EQ(read.error().code, ErrorCode::kData);
  return to_string(read.error());
}

TEST(AdapterConfig, IsPefts) {
  const Json saved = read_json_file(kByPeft / kAdapterConfigFile).value();
  EXPECT_EQ(from_peft_config(saved, "peft").value(), golden());
  const Json ours = to_peft_config(golden());
  for (const auto& [key, value] : ours.items()) {
    if (key == "target_modules") continue;  // a set: peft has no order
    ASSERT_TRUE(saved.contains(key)) << key;
    EXPECT_EQ(saved.at(key), value) << key;
  }
  EXPECT_TRUE(ours.at("lora_alpha").is_number_integer()) << "peft's type for it";
}

TEST(AdapterConfig, ComesBack) {
  LoraConfig lora = golden();
  lora.alpha = 2.5;
  EXPECT_EQ(from_peft_config(to_peft_config(lora), "").value(), lora);
}

TEST(AdapterConfig, WhatPlumblineDoesNotComputeIsRefusedByKey) {
  EXPECT_THAT(refused({{"peft_type", "IA3"}}), HasSubstr("peft_type"));
  EXPECT_THAT(refused({{"use_dora", true}}), AllOf(HasSubstr("use_dora"), HasSubstr("does not compute")));
  EXPECT_THAT(refused({{"use_rslora", true}}), HasSubstr("use_rslora"));
  EXPECT_THAT(refused({{"rank_pattern", {{"q", 4}}}}), HasSubstr("rank_pattern"));
  EXPECT_THAT(refused({{"modules_to_save", {"lm_head"}}}), HasSubstr("modules_to_save"));
  EXPECT_THAT(refused({{"bias", "all"}}), HasSubstr("bias"));
  EXPECT_THAT(refused({{"init_lora_weights", "pissa"}}), HasSubstr("init_lora_weights"));
  EXPECT_THAT(refused({{"target_modules", "all-linear"}}), HasSubstr("not a list"));
  EXPECT_THAT(refused({{"target_modules", {"q", "lm_head"}}}), HasSubstr("lm_head"));
  EXPECT_THAT(refused({{"target_modules", {1}}}), HasSubstr("target_modules"));
  EXPECT_THAT(refused({{"r", 0}}), HasSubstr("the key r is 0"));
  EXPECT_THAT(refused({{"r", nullptr}}), HasSubstr("\"r\" is missing"));
  EXPECT_THAT(refused({{"lora_alpha", "8"}}), HasSubstr("lora_alpha"));
  EXPECT_THAT(refused({{"lora_dropout", 1}}), HasSubstr("lora_dropout"));
  EXPECT_EQ(refused({{"rank_pattern", Json::object()}, {"layers_to_transform", nullptr}, {"use_dora", false}}),
            "no error");
  EXPECT_EQ(refused({{"init_lora_weights", "gaussian"}}), "no error");
}

TEST(AdapterConfig, AnAdapterMustBeOfTheShapeThatIsAskedFor) {
  LoraConfig lora = golden();
  lora.targets = {"wi_1", "o", "v", "q"};
  lora.dropout = 0.5;
  EXPECT_TRUE(check_adapter(lora, kByPeft).has_value()) << "order and dropout are not of its shape";
  lora.rank = 4;
  const auto status = check_adapter(lora, kByPeft);
  ASSERT_TRUE(status.has_error());
  EXPECT_EQ(status.error().code, ErrorCode::kUsage);
  EXPECT_THAT(status.error().message, AllOf(HasSubstr("has rank: 3"), HasSubstr("configuration rank: 4")));
  EXPECT_THAT(status.error().hint, HasSubstr("targets: [q, v, o, wi_1]"));
  EXPECT_THAT(check_adapter(lora, kByPeft / "none").error().where, HasSubstr(kAdapterConfigFile));
}

TEST(AdapterConfig, TargetsMustBeProjectionsOfTheModel) {
  ModelConfig gated, plain;
  plain.feed_forward_proj = "relu";
  LoraConfig lora;
  lora.targets = {"q", "k", "v", "o", "wo"};
  EXPECT_TRUE(check_targets(lora, gated).has_value());
  EXPECT_TRUE(check_targets(lora, plain).has_value());
  lora.targets = {"wi"};
  EXPECT_TRUE(check_targets(lora, plain).has_value());
  EXPECT_THAT(check_targets(lora, gated).error().hint, HasSubstr("wi_0, wi_1 and wo"));
  lora.targets = {"q", "wi_1"};
  EXPECT_TRUE(check_targets(lora, gated).has_value());
  EXPECT_THAT(check_targets(lora, plain).error().message, HasSubstr("no projection wi_1"));
}

}  // namespace
}  // namespace plumbline
