#include "common/record/checkpoint_manifest.hpp"

#include <gmock/gmock.h>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

class ManifestTest : public ScratchTest {
 protected:
  ManifestFile vouched(const std::string& name, const std::string& bytes) {
    put(name, bytes);
    return {name, bytes.size(), sha256_hex(bytes)};
  }
  void write_checkpoint() {
    CheckpointManifest manifest;
    manifest.step = Step(12);
    manifest.files = {vouched("state.json", "{}"), vouched("model.safetensors", "weights"), vouched("empty", "")};
    ASSERT_TRUE(write_manifest(folder(), manifest).has_value());
  }
  Error error_with(const std::string& key, Json value) {
    Json json = Json::parse(content("MANIFEST.json"));
    json[key] = std::move(value);
    put("MANIFEST.json", json.dump());
    return read_manifest(folder()).error();
  }
  static Json entry(const std::string& name, const Json& bytes = 1, const std::string& sha256 = std::string(64, 'a')) {
    return {{"name", name}, {"bytes", bytes}, {"sha256", sha256}};
  }
};

TEST_F(ManifestTest, ComesBackSortedByName) {
  write_checkpoint();
  const CheckpointManifest manifest = verify_checkpoint(folder()).value();
  EXPECT_EQ(manifest.step, Step(12));
  ASSERT_EQ(manifest.files.size(), 3u);
  EXPECT_EQ(manifest.files[0].name, "empty");
  EXPECT_EQ(manifest.files[1].name, "model.safetensors");
  EXPECT_EQ(manifest.files[2].name, "state.json");
  EXPECT_EQ(manifest.weights_sha256(), sha256_hex("weights"));
  EXPECT_EQ(CheckpointManifest{}.weights_sha256(), "");
}

TEST_F(ManifestTest, ItsTextDoesNotDependOnTheOrderOfFiles) {
  write_checkpoint();
  const std::string first = content("MANIFEST.json");
  CheckpointManifest manifest = read_manifest(folder()).value();
  std::swap(manifest.files[0], manifest.files[2]);
  ASSERT_TRUE(write_manifest(folder(), manifest).has_value());
  EXPECT_EQ(content("MANIFEST.json"), first);
}

TEST_F(ManifestTest, AFlippedByteIsFoundAndNamed) {
  write_checkpoint();
  put("model.safetensors", "weighty");
  const auto verified = verify_checkpoint(folder());
  ASSERT_TRUE(verified.has_error());
  EXPECT_EQ(verified.error().code, ErrorCode::kData);
  EXPECT_EQ(verified.error().where, file("model.safetensors").string());
}

TEST_F(ManifestTest, ACutOrMissingFileIsFoundAndNamed) {
  write_checkpoint();
  put("state.json", "{");
  EXPECT_THAT(to_string(verify_checkpoint(folder()).error()),
              HasSubstr("state.json: the file has 1 bytes, the manifest says 2"));
  std::filesystem::remove(file("state.json"));
  EXPECT_THAT(to_string(verify_checkpoint(folder()).error()), HasSubstr("state.json: the file is missing"));
  std::filesystem::remove(file("MANIFEST.json"));
  EXPECT_EQ(verify_checkpoint(folder()).error().where, file("MANIFEST.json").string());
}

TEST_F(ManifestTest, WeightsMustBeVouchedFor) {
  CheckpointManifest manifest;
  manifest.files = {vouched("state.json", "{}")};
  put("model.safetensors", "weights of somebody");
  ASSERT_TRUE(write_manifest(folder(), manifest).has_value());
  EXPECT_THAT(verify_checkpoint(folder()).error().message, HasSubstr("model.safetensors"));
}

TEST_F(ManifestTest, VouchesForFilesInsideFoldersToo) {
  std::filesystem::create_directory(folder() / "adapter");
  CheckpointManifest manifest;
  manifest.files = {vouched("model.safetensors", "weights"), vouched("adapter/adapter_config.json", "{}")};
  put("model.safetensors", "weights");
  put("adapter/adapter_config.json", "{}");
  ASSERT_TRUE(write_manifest(folder(), manifest).has_value());
  EXPECT_EQ(verify_checkpoint(folder()).value().files[0].name, "adapter/adapter_config.json");
  put("adapter/adapter_config.json", "[]");
  EXPECT_THAT(verify_checkpoint(folder()).error().where, HasSubstr("adapter/adapter_config.json"));
}

TEST_F(ManifestTest, ANameThatLeadsElsewhereIsRefused) {
  write_checkpoint();
  for (const char* name : {"../other", "/etc/passwd", "..", "", "a/../../b", "a//b", "a/"})
    EXPECT_THAT(error_with("files", Json::array({entry(name)})).message, HasSubstr("leads out")) << name;
}

TEST_F(ManifestTest, MalformedManifestsAreDataErrors) {
  write_checkpoint();
  EXPECT_THAT(error_with("files", Json::array({entry("a"), entry("b"), entry("a")})).message, HasSubstr("a is listed"));
  EXPECT_THAT(error_with("files", Json::array({entry("a", -1)})).message, HasSubstr("bytes"));
  EXPECT_THAT(error_with("files", Json::array({entry("a", 1, "abc")})).message, HasSubstr("SHA-256"));
  EXPECT_THAT(error_with("files", Json::array({7})).message, HasSubstr("name"));
  EXPECT_THAT(error_with("files", 7).message, HasSubstr("files"));
  EXPECT_THAT(error_with("step", -1).message, HasSubstr("step"));
  EXPECT_THAT(error_with("version", 2).message, HasSubstr("version 2"));
  put("MANIFEST.json", "{");
  EXPECT_EQ(read_manifest(folder()).error().code, ErrorCode::kData);
}

TEST_F(ManifestTest, TheNumberOfFilesIsBounded) {
  write_checkpoint();
  Json files = Json::array();
  for (int i = 0; i <= 10'000; ++i) files.push_back(entry(std::to_string(i)));
  EXPECT_THAT(error_with("files", std::move(files)).message, HasSubstr("10000"));
}

TEST(CheckpointStateTest, ComesBack) {
  CheckpointState state;
  state.step = Step(40);
  state.seed = ~0ull;
  state.dataset_hash = "abc";
  state.tokenizer = "byte";
  state.fingerprint = "cpu AVX2 threads=1";
  const CheckpointState back = state_from_json(to_json(state), "state.json").value();
  EXPECT_EQ(back.step, state.step);
  EXPECT_EQ(back.seed, state.seed);
  EXPECT_EQ(back.dataset_hash, state.dataset_hash);
  EXPECT_EQ(back.tokenizer, state.tokenizer);
  EXPECT_EQ(back.fingerprint, state.fingerprint);
  EXPECT_EQ(back.base_sha256, "");
  EXPECT_FALSE(to_json(state).contains("base_sha256"));
  state.base_sha256 = "def";
  EXPECT_EQ(state_from_json(to_json(state), "state.json").value().base_sha256, "def");
}

TEST(CheckpointStateTest, EveryKeyIsNeededAndOfItsType) {
  const Json good = to_json(CheckpointState{});
  for (const auto& [key, value] : good.items()) {
    Json without = good, wrong = good;
    without.erase(key);
    wrong[key] = Json::array();
    EXPECT_THAT(to_string(state_from_json(without, "state.json").error()), HasSubstr(key));
    EXPECT_TRUE(state_from_json(wrong, "state.json").has_error()) << key;
  }
  Json newer = good;
  newer["version"] = 2;
  EXPECT_THAT(state_from_json(newer, "state.json").error().message, HasSubstr("version 2"));
}

}  // namespace
}  // namespace plumbline
