#include "common/config/weight_files.hpp"

#include <gmock/gmock.h>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ModelFolderTest : public ScratchTest {
 protected:
  void index(const std::string& weight_map) const {
    put("model.safetensors.index.json", R"({"metadata":{"total_size":8},"weight_map":)" + weight_map + "}");
  }
  [[nodiscard]] Error refused() const {
    const auto files = weight_files(folder());
    EXPECT_TRUE(files.has_error());
    if (files.has_value()) return {};
    EXPECT_EQ(files.error().code, ErrorCode::kData);
    return files.error();
  }
};

TEST_F(ModelFolderTest, OneFileIsTakenBeforeAnIndex) {
  EXPECT_FALSE(has_weights(folder()));
  EXPECT_THAT(refused().where, HasSubstr("model.safetensors"));
  put("model.safetensors", "x");
  index(R"({"a":"gone.safetensors"})");
  EXPECT_TRUE(has_weights(folder()));
  const WeightFiles weights = weight_files(folder()).value();
  EXPECT_EQ(weights.listed_in, file("model.safetensors"));
  ASSERT_EQ(weights.files.size(), 1u);
  EXPECT_TRUE(weights.files[0].tensors.empty());
  EXPECT_EQ(hash_weights(folder()).value(), sha256_file(file("model.safetensors")).value());
}

TEST_F(ModelFolderTest, AnIndexListsItsShards) {
  index(R"({"b":"2.safetensors","a":"1.safetensors","c":"1.safetensors"})");
  put("1.safetensors", "x"), put("2.safetensors", "y");
  EXPECT_TRUE(has_weights(folder()));
  const WeightFiles weights = weight_files(folder()).value();
  EXPECT_EQ(weights.listed_in, file("model.safetensors.index.json"));
  ASSERT_EQ(weights.files.size(), 2u);
  EXPECT_EQ(weights.files[0].path, file("1.safetensors"));
  EXPECT_THAT(weights.files[0].tensors, ElementsAre("a", "c"));
  const std::string hash = hash_weights(folder()).value();
  put("2.safetensors", "z");
  EXPECT_NE(hash_weights(folder()).value(), hash);
}

TEST_F(ModelFolderTest, AMissingShardIsNamedWithATensor) {
  index(R"({"a":"1.safetensors","b":"2.safetensors"})");
  put("1.safetensors", "x");
  EXPECT_EQ(refused().where, file("2.safetensors").string());
  EXPECT_THAT(refused().message, HasSubstr(" b "));
}

TEST_F(ModelFolderTest, AnIndexThatMakesNoSenseIsNamed) {
  for (const char* map : {R"({"a":"../1.safetensors"})", R"({"a":"/etc/passwd"})", R"({"a":"sub/1.safetensors"})",
                          R"({"a":".."})", R"({"a":""})", R"({"a":7})"}) {
    index(map);
    EXPECT_EQ(refused().where, file("model.safetensors.index.json").string()) << map;
    EXPECT_THAT(refused().message, HasSubstr("tensor a ")) << map;
  }
  for (const char* map : {"{}", "[]", "null", "7"}) {
    index(map);
    EXPECT_THAT(refused().message, HasSubstr("weight_map")) << map;
  }
  put("model.safetensors.index.json", "[1]");
  EXPECT_THAT(refused().message, HasSubstr("weight_map"));
  put("model.safetensors.index.json", "{");
  EXPECT_THAT(refused().where, HasSubstr("model.safetensors.index.json"));
}

}  // namespace
}  // namespace plumbline
