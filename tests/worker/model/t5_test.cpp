#include "worker/model/t5.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/worker/golden.hpp"

namespace plumbline {
namespace {

class T5GoldenTest : public testing::TestWithParam<const char*> {
 protected:
  Golden golden_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Models, T5GoldenTest, testing::Values("gated", "relu"));

TEST_P(T5GoldenTest, EncoderAgreesWithTransformersOnRealTokens) {
  const at::NoGradGuard no_grad;
  const at::Tensor memory = golden_.model->encode(golden_["source"], golden_.source_mask());
  EXPECT_LT(largest_difference(memory, golden_["memory"]), 1e-5);
}

TEST_P(T5GoldenTest, LogitsAgreeWithTransformers) {
  const at::NoGradGuard no_grad;
  const at::Tensor memory = golden_.model->encode(golden_["source"], golden_.source_mask());
  const at::Tensor states = golden_.model->decode(shift_right(golden_["desired"]), memory, golden_.source_mask());
  EXPECT_LT(largest_difference(golden_.model->logits(states), golden_["logits"]), 3e-5);
}

TEST_P(T5GoldenTest, CachedStepsGiveTheLogitsOfTeacherForcing) {
  const at::NoGradGuard no_grad;
  const at::Tensor input = shift_right(golden_["desired"]);
  const auto cache = golden_.model->start_cache(golden_.model->encode(golden_["source"], golden_.source_mask()),
                                                golden_.source_mask());
  for (std::int64_t t = 0; t < input.size(1); ++t)
    EXPECT_LT(largest_difference(golden_.model->step(*cache, input.select(1, t)), golden_["logits"].select(1, t)), 3e-5)
        << "token " << t;
}

TEST_P(T5GoldenTest, RowsThatStayInTheCacheGoOnAsBefore) {
  const at::NoGradGuard no_grad;
  const at::Tensor input = shift_right(golden_["desired"]);
  const auto cache = golden_.model->start_cache(golden_.model->encode(golden_["source"], golden_.source_mask()),
                                                golden_.source_mask());
  for (std::int64_t t = 0; t < 3; ++t) static_cast<void>(golden_.model->step(*cache, input.select(1, t)));
  const at::Tensor rows = at::tensor({0, 3}, at::kLong);
  golden_.model->keep_rows(*cache, rows);
  const at::Tensor logits = golden_.model->step(*cache, input.select(1, 3).index_select(0, rows));
  EXPECT_LT(largest_difference(logits, golden_["logits"].select(1, 3).index_select(0, rows)), 3e-5);
}

/// As beams do: rows of one source trade places, one is kept twice, and a source goes.
TEST_P(T5GoldenTest, RowsOfTheCacheMayTradePlacesAndStandTwice) {
  const at::NoGradGuard no_grad;
  const at::Tensor mask = golden_.source_mask(), memory = golden_.model->encode(golden_["source"], mask);
  const auto cache = golden_.model->start_cache(memory, mask);
  at::Tensor source = at::arange(4, at::kLong), written = at::zeros({4, 1}, at::kLong);
  std::int64_t token = 3;
  for (const std::vector<std::int64_t>& kept : std::vector<std::vector<std::int64_t>>{
           {0, 0, 1, 1, 2, 3}, {1, 0, 3, 2, 4, 5}, {0, 0, 2, 2, 4, 5}, {1, 0, 4, 4}, {3, 2, 1, 0}}) {
    static_cast<void>(golden_.model->step(*cache, written.select(1, written.size(1) - 1)));
    const at::Tensor rows = at::tensor(kept, at::kLong);
    golden_.model->keep_rows(*cache, rows);
    source = source.index_select(0, rows);
    const at::Tensor next = at::arange(token, token + rows.size(0), at::kLong);
    written = at::cat({written.index_select(0, rows), next.unsqueeze(1)}, 1);
    token += rows.size(0);
  }
  const at::Tensor logits = golden_.model->step(*cache, written.select(1, written.size(1) - 1));
  const at::Tensor whole = golden_.model->logits(golden_.model->decode_rows(written, memory, mask, source));
  EXPECT_LT(largest_difference(logits, whole.select(1, written.size(1) - 1)), 3e-5);
}

TEST_P(T5GoldenTest, ChosenMemoryRowsEqualACopiedMemory) {
  const at::NoGradGuard no_grad;
  const at::Tensor rows = at::tensor({2, 0, 0, 3, 1}, at::kLong), mask = golden_.source_mask();
  const at::Tensor input = shift_right(golden_["desired"]).index_select(0, rows);
  const at::Tensor memory = golden_.model->encode(golden_["source"], mask);
  const at::Tensor chosen = golden_.model->decode_rows(input, memory, mask, rows);
  const at::Tensor copied = golden_.model->decode(input, memory.index_select(0, rows), mask.index_select(0, rows));
  EXPECT_LT(largest_difference(chosen, copied), 1e-5);
}

TEST_P(T5GoldenTest, SavedAndLoadedWeightsAreTheSameBitsAndTheSameFile) {
  const TemporaryFolder folder;
  const auto first = folder.path() / "first", second = folder.path() / "second";
  std::filesystem::create_directories(first);
  std::filesystem::create_directories(second);
  ASSERT_TRUE(save_model(*golden_.model, first));
  auto loaded = load_model(first, at::kCPU);
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_TRUE(at::equal((*loaded)->parameters().flat(), golden_.model->parameters().flat()));
  ASSERT_TRUE(save_model(**loaded, second));
  for (const char* name : {"model.safetensors", "config.json"})
    EXPECT_EQ(sha256_file(first / name).value(), sha256_file(second / name).value()) << name;
}

TEST(ModelFilesTest, AFolderThatTransformers5SavedLoads) {
  const TemporaryFolder folder;
  const Golden golden("gated");
  ASSERT_TRUE(save_model(*golden.model, folder.path()));
  Json config = read_json_file(folder.path() / "config.json").value();
  config["tie_word_embeddings"] = true;  // as that version always writes
  config["scale_decoder_outputs"] = false;
  ASSERT_TRUE(write_file_atomically(folder.path() / "config.json", config.dump()));
  auto loaded = load_model(folder.path(), at::kCPU);
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_TRUE(at::equal((*loaded)->parameters().flat(), golden.model->parameters().flat()));
  std::vector<NamedTensor> without_head;
  for (auto& [name, tensor] : read_safetensors(folder.path() / "model.safetensors").value())
    if (name != "lm_head.weight") without_head.push_back({name, tensor});
  ASSERT_TRUE(write_safetensors(folder.path() / "model.safetensors", without_head));
  loaded = load_model(folder.path(), at::kCPU);
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_TRUE(
      at::equal((*loaded)->parameters().get("lm_head.weight"), golden.model->parameters().get("shared.weight")));
}

TEST(ModelFilesTest, AnMt5FolderLoadsAsAnUntiedT5) {
  const TemporaryFolder folder;
  const Golden golden("gated");
  ASSERT_TRUE(save_model(*golden.model, folder.path()));
  Json config = read_json_file(folder.path() / "config.json").value();
  config["model_type"] = "mt5";
  config["architectures"] = {"MT5ForConditionalGeneration"};
  for (const char* key : {"feed_forward_proj", "scale_decoder_outputs", "is_gated_act", "dense_act_fn"})
    config.erase(key);
  ASSERT_TRUE(write_file_atomically(folder.path() / "config.json", config.dump()));
  const auto loaded = load_model(folder.path(), at::kCPU);
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_EQ((*loaded)->config(), golden.model->config());
  EXPECT_TRUE(at::equal((*loaded)->parameters().flat(), golden.model->parameters().flat()));
}

TEST(ModelFilesTest, WhatTransformersReadsPastIsReadPast) {
  const TemporaryFolder folder;
  const Golden golden("relu");
  ASSERT_TRUE(save_model(*golden.model, folder.path()));
  std::vector<NamedTensor> tensors;
  for (auto& [name, tensor] : read_safetensors(folder.path() / "model.safetensors").value())
    tensors.push_back({name, tensor});
  for (const char* copy : {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"})
    tensors.push_back({copy, golden.model->parameters().get("shared.weight").detach()});
  tensors.push_back({"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", at::ones({12, 4})});
  ASSERT_TRUE(write_safetensors(folder.path() / "model.safetensors", tensors));
  const auto loaded = load_model(folder.path(), at::kCPU);
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_TRUE(at::equal((*loaded)->parameters().flat(), golden.model->parameters().flat()));
}

TEST(ModelFilesTest, HalfPrecisionIsWidenedExactly) {
  const Golden golden("gated");
  for (const auto type : {at::kHalf, at::kBFloat16}) {
    const TemporaryFolder folder;
    ASSERT_TRUE(save_model(*golden.model, folder.path()));
    std::vector<NamedTensor> tensors;
    for (auto& [name, tensor] : read_safetensors(folder.path() / "model.safetensors").value())
      tensors.push_back({name, tensor.to(type)});
    ASSERT_TRUE(write_safetensors(folder.path() / "model.safetensors", tensors));
    const auto loaded = load_model(folder.path(), at::kCPU);
    ASSERT_TRUE(loaded) << to_string(loaded.error());
    EXPECT_TRUE(at::equal((*loaded)->parameters().flat(), golden.model->parameters().flat().to(type).to(at::kFloat)));
  }
}

/// golden.model in two shards with their index, as Transformers writes a large model.
class ShardsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(save_model(*golden_.model, folder_.path()));
    for (auto& [name, tensor] : read_safetensors(folder_.path() / "model.safetensors").value())
      put(name, tensor, name < "encoder" ? kFirst : kSecond);
    std::filesystem::remove(folder_.path() / "model.safetensors");
    write();
  }
  void put(const std::string& name, const at::Tensor& tensor, const std::string& file) {
    shards_[file].push_back({name, tensor});
    map_[name] = file;
  }
  void write() {
    for (const auto& [file, tensors] : shards_) ASSERT_TRUE(write_safetensors(folder_.path() / file, tensors));
    const Json index{{"metadata", Json::object()}, {"weight_map", map_}};
    ASSERT_TRUE(write_file_atomically(folder_.path() / "model.safetensors.index.json", index.dump()));
  }
  std::string refused() {
    const auto loaded = load_model(folder_.path(), at::kCPU);
    EXPECT_TRUE(loaded.has_error());
    if (loaded.has_value()) return "no error";
    EXPECT_EQ(loaded.error().code, ErrorCode::kData);
    return to_string(loaded.error());
  }

  static constexpr const char* kFirst = "model-00001-of-00002.safetensors";
  static constexpr const char* kSecond = "model-00002-of-00002.safetensors";
  TemporaryFolder folder_;
  Golden golden_{"gated"};
  std::map<std::string, std::vector<NamedTensor>> shards_;
  Json map_ = Json::object();
};

TEST_F(ShardsTest, GiveTheModel) {
  ASSERT_EQ(shards_.size(), 2u);
  const auto loaded = load_model(folder_.path(), at::kCPU);
  ASSERT_TRUE(loaded) << to_string(loaded.error());
  EXPECT_TRUE(at::equal((*loaded)->parameters().flat(), golden_.model->parameters().flat()));
}

TEST_F(ShardsTest, DamageIsNamedByFileAndTensor) {
  using testing::AllOf, testing::HasSubstr;
  const auto second = folder_.path() / kSecond;
  map_["decoder.final_layer_norm.weight"] = kSecond;
  write();
  EXPECT_THAT(refused(), AllOf(HasSubstr(kFirst), HasSubstr("decoder.final_layer_norm.weight")))
      << "it is still in the first, whose index entry is gone";
  map_["decoder.final_layer_norm.weight"] = kFirst;
  map_["encoder.nobody.weight"] = kSecond;
  write();
  EXPECT_THAT(refused(), AllOf(HasSubstr(kSecond), HasSubstr("encoder.nobody.weight")));
  put("encoder.nobody.weight", at::ones({2}), kSecond);
  write();
  EXPECT_THAT(refused(), AllOf(HasSubstr(kSecond), HasSubstr("encoder.nobody.weight"), HasSubstr("not part")));
  std::filesystem::resize_file(second, std::filesystem::file_size(second) - 4);
  EXPECT_THAT(refused(), AllOf(HasSubstr(kSecond), HasSubstr("encoder.nobody.weight")));
  std::filesystem::remove(second);
  EXPECT_THAT(refused(), HasSubstr(kSecond));
}

TEST_F(ShardsTest, WhatNoShardHasIsMissingFromTheIndex) {
  const std::string gone = shards_[kSecond].back().name;
  shards_[kSecond].pop_back();
  map_.erase(gone);
  write();
  EXPECT_THAT(refused(), testing::AllOf(testing::HasSubstr("index.json"), testing::HasSubstr(gone)));
}

TEST(FeedForwardTest, ComputesWhatItsNameSays) {
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::arange(-12, 12, at::kFloat).view({4, 6}) / 4;
  const at::Tensor y = x.to(at::kDouble);
  const at::Tensor tanh = at::tanh(std::sqrt(2 / M_PI) * (y + 0.044715 * y.pow(3)));
  const std::pair<const char*, at::Tensor> activations[] = {{"relu", y.clamp_min(0)},
                                                            {"gelu", y * 0.5 * (1 + at::erf(y / std::sqrt(2.0)))},
                                                            {"gelu_new", y * 0.5 * (1 + tanh)},
                                                            {"silu", y / (1 + at::exp(-y))}};
  for (const auto& [name, expected] : activations) {
    EXPECT_LT(largest_difference(passes::activate(x, {}, feed_forward_of(name).activation), expected), 1e-6) << name;
    if (name == std::string("gelu")) continue;  // No name says gated and exact.
    const Activation gated = feed_forward_of("gated-" + std::string(name)).activation;
    EXPECT_LT(largest_difference(passes::activate(x, 2 * x, gated), expected * 2 * y), 1e-5) << name;
  }
}

TEST(RelativeBucketsTest, AgreeWithTransformers) {
  const Golden golden("gated");
  const at::Tensor relative = at::arange(-300, 301, at::kLong);
  EXPECT_TRUE(at::equal(layers::relative_buckets(relative, true, 32, 128), golden["buckets_bidirectional"]));
  EXPECT_TRUE(at::equal(layers::relative_buckets(relative, false, 32, 128), golden["buckets_causal"]));
}

class T5Test : public testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    model_.initialize(5);
  }
  at::Tensor run(std::optional<DropoutKey> key) {
    const at::NoGradGuard no_grad;
    const at::Tensor mask = source_.ne(0);
    return model_.decode(input_, model_.encode(source_, mask, key), mask, key).contiguous();
  }
  ModelConfig config() {
    ModelConfig c = small_config();
    c.dropout_rate = 0.3;
    return c;
  }
  T5 model_{config(), at::kCPU};
  at::Tensor source_ = at::arange(3, 27, at::kLong).view({3, 8}), input_ = at::arange(0, 15, at::kLong).view({3, 5});
};

TEST_F(T5Test, InitialisationDependsOnTheSeedAlone) {
  T5 same(config(), at::kCPU), other(config(), at::kCPU);
  same.initialize(5);
  other.initialize(6);
  EXPECT_TRUE(at::equal(model_.parameters().flat(), same.parameters().flat()));
  EXPECT_FALSE(at::equal(model_.parameters().flat(), other.parameters().flat()));
  EXPECT_TRUE(at::equal(model_.parameters().get("encoder.final_layer_norm.weight"), at::ones({16})));
}

TEST_F(T5Test, DropoutDependsOnTheKeyAlone) {
  const at::Tensor first = run(DropoutKey{1});
  EXPECT_TRUE(at::equal(first, run(DropoutKey{1})));
  EXPECT_FALSE(at::equal(first, run(DropoutKey{2})));
  EXPECT_FALSE(at::equal(first, run({})));
  EXPECT_TRUE(at::equal(run({}), run({})));
}

TEST_F(T5Test, DropoutKeepsTheMean) {
  layers::Dropout dropout(0.3, 9);
  at::Tensor y = at::ones({400, 500});
  dropout.next().apply_(y);
  EXPECT_NEAR(y.mean().item<double>(), 1.0, 0.01);
  EXPECT_NEAR(y.eq(0).to(at::kFloat).mean().item<double>(), 0.3, 0.01);
}

TEST_F(T5Test, PaddingDoesNotChangeRealRows) {
  const at::NoGradGuard no_grad;
  const at::Tensor mask = source_.ne(0), wide = at::constant_pad_nd(source_, {0, 6}, 0);
  const at::Tensor narrow = model_.decode(input_, model_.encode(source_, mask), mask);
  const at::Tensor padded = model_.decode(input_, model_.encode(wide, wide.ne(0)), wide.ne(0));
  EXPECT_LT(largest_difference(narrow, padded), 1e-5);
}

TEST_F(T5Test, GradientsLandInTheBoundBuffer) {
  at::Tensor gradient = model_.parameters().new_flat();
  model_.parameters().bind_gradient(gradient);
  const at::Tensor mask = source_.ne(0);
  const auto backward = [&] {
    model_.logits(model_.decode(input_, model_.encode(source_, mask), mask)).square().mean().backward();
  };
  backward();
  const at::Tensor once = gradient.clone();
  EXPECT_GT(once.abs().max().item<float>(), 0);
  backward();
  EXPECT_LT(largest_difference(gradient, 2 * once), 1e-6 * once.abs().max().item<double>() + 1e-9)
      << "a second pass accumulates";
}

TEST_F(T5Test, ParametersStartOn64ByteBoundaries) {
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(model_.parameters().flat().const_data_ptr()) % 64, 0u);
  for (const auto& spec : model_.parameters().specs()) EXPECT_EQ(spec.offset % 16, 0) << spec.name;
  EXPECT_EQ(model_.parameters().specs().front().name, "shared.weight");
  EXPECT_EQ(model_.parameters().specs().back().name, "lm_head.weight");
}

TEST_F(T5Test, WeightsOfAnotherModelAreRefusedByName) {
  const TemporaryFolder folder;
  ModelConfig wider = config(), deeper = config(), shallower = config();
  wider.d_ff = 40, deeper.num_layers = 3, shallower.num_decoder_layers = 1;
  ASSERT_TRUE(save_model(model_, folder.path()));
  const auto file = folder.path() / "model.safetensors";
  T5 wide(wider, at::kCPU), deep(deeper, at::kCPU), shallow(shallower, at::kCPU);
  for (auto [other, name] :
       {std::pair<T5*, const char*>{&wide, "wi_0"}, {&deep, "encoder.block.2."}, {&shallow, "decoder.block.1."}}) {
    const Status status = load_weights(*other, file);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kData);
    EXPECT_NE(status.error().message.find(name), std::string::npos) << status.error().message;
    EXPECT_NE(status.error().where.find("model.safetensors"), std::string::npos);
  }
}

}  // namespace
}  // namespace plumbline
