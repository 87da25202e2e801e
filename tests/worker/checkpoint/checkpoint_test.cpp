#include "worker/checkpoint/checkpoint.hpp"

#include <fstream>
#include <set>

#include "tests/worker/golden.hpp"
#include "worker/model/safetensors.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() : model_(small_config(), at::kCPU), tokenizer_(make_tokenizer("byte").value()) {
    at::set_num_threads(1);
    model_.initialize(3);
    choose(OptimizerConfig{});
    state_.step = Step(7), state_.seed = 5, state_.dataset_hash = "abc", state_.tokenizer = "byte",
    state_.fingerprint = "f";
  }
  /// An optimizer whose state's tensors all differ.
  void choose(const OptimizerConfig& config) {
    optimizer_ = make_optimizer(config, model_.parameters());
    int tensors = 0;
    for (const OptimizerPart& part : optimizer_->state())
      for (const auto& [name, tensor] : part.tensors)
        at::Tensor(tensor).copy_(at::arange(tensor.numel()).view(tensor.sizes()) + ++tensors);
  }
  Result<std::vector<WrittenPart>> write(int rank, int world) {
    return write_checkpoint_parts(partial(), rank, world, source(), state_);
  }
  CheckpointSource source() const { return {model_, *optimizer_, *tokenizer_}; }
  fs::path partial() const { return folder_.path() / ".step.partial"; }

  TemporaryFolder folder_;
  T5 model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Optimizer> optimizer_;
  CheckpointState state_;
};

TEST_F(CheckpointTest, EveryPartIsWrittenOnceByAnyNumberOfRanks) {
  for (const int world : {1, 2, 3, 4}) {
    fs::remove_all(partial());
    std::set<std::string> files;
    for (int rank = 0; rank < world; ++rank) {
      const auto parts = write(rank, world);
      ASSERT_TRUE(parts.has_value()) << to_string(parts.error());
      for (const auto& part : parts.value()) {
        EXPECT_TRUE(files.insert(part.file).second) << part.file << " was written twice";
        EXPECT_EQ(part.bytes, fs::file_size(partial() / part.file));
        EXPECT_EQ(part.sha256, sha256_file(partial() / part.file).value());
      }
    }
    EXPECT_EQ(static_cast<int>(files.size()), checkpoint_parts(source()));
    for (const char* file : {kModelFile, kModelConfigFile, kStateFile, "optimizer-exp_avg.safetensors",
                             "optimizer-exp_avg_sq.safetensors"})
      EXPECT_TRUE(files.contains(file)) << file;
    std::set<std::string> on_disk;
    for (const auto& entry : fs::directory_iterator(partial())) on_disk.insert(entry.path().filename());
    EXPECT_EQ(on_disk, files) << "nothing else lies there";
  }
}

TEST_F(CheckpointTest, HasTheTokenizersFile) {
  const fs::path pieces = fs::path(PLUMBLINE_SOURCE_DIR) / "tests/common/text/spiece.model";
  tokenizer_ = load_sentencepiece(pieces, 100).value();
  const auto parts = write(0, 1).value();
  EXPECT_EQ(static_cast<int>(parts.size()), checkpoint_parts(source()));
  EXPECT_EQ(sha256_file(partial() / kSentencePieceFile).value(), sha256_file(pieces).value());
}

TEST_F(CheckpointTest, ReadsBackWhatWasWritten) {
  write(0, 1).value();
  const auto state = read_checkpoint_state(partial()).value();
  EXPECT_EQ(state.step, Step(7));
  EXPECT_TRUE(check_resumable(state, state_, partial()).has_value());
  T5 model(small_config(), at::kCPU);
  load_weights(model, partial() / kModelFile).value();
  EXPECT_TRUE(model.parameters().flat().equal(model_.parameters().flat()));
}

TEST_F(CheckpointTest, AnOptimizersStateIsReadBackWhateverItIs) {
  OptimizerConfig adamw, adafactor, with_mean;
  adafactor.name = with_mean.name = "adafactor";
  with_mean.beta1 = 0.9;
  std::set<std::size_t> numbers_of_parts;
  for (const OptimizerConfig& config : {adamw, adafactor, with_mean}) {
    choose(config);
    EXPECT_EQ(static_cast<int>(write(0, 1).value().size()), checkpoint_parts(source()));
    const auto optimizer = make_optimizer(config, model_.parameters());
    load_optimizer(partial(), *optimizer).value();
    const auto saved = optimizer_->state(), read = optimizer->state();
    for (std::size_t p = 0; p < saved.size(); ++p)
      for (std::size_t i = 0; i < saved[p].tensors.size(); ++i)
        EXPECT_TRUE(read[p].tensors[i].tensor.equal(saved[p].tensors[i].tensor)) << saved[p].tensors[i].name;
    numbers_of_parts.insert(read.size());
  }
  EXPECT_EQ(numbers_of_parts, (std::set<std::size_t>{2, 3, 4}));
}

TEST_F(CheckpointTest, AnAdapterIsSavedBesideWeightsThatHaveItMergedIntoThem) {
  LoraConfig lora;
  lora.rank = 2, lora.alpha = 3, lora.targets = {"v", "wo"};
  model_.add_adapter(lora);
  for (const auto& spec : model_.trained().specs())
    model_.trained().flat().narrow(0, spec.offset, spec.size()).copy_(at::arange(spec.size()).sin());
  optimizer_ = make_optimizer({}, model_.trained());
  std::set<std::string> files;
  for (const int rank : {0, 1})
    for (const auto& part : write(rank, 2).value()) files.insert(part.file);
  EXPECT_EQ(static_cast<int>(files.size()), checkpoint_parts(source()));
  EXPECT_TRUE(files.contains("adapter/adapter_config.json") && files.contains("adapter/adapter_model.safetensors"));

  T5 base(small_config(), at::kCPU);
  base.initialize(3);
  const auto merged = load_model(partial(), at::kCPU).value();
  for (const auto& spec : base.parameters().specs())
    EXPECT_EQ(merged->parameters().get(spec.name).equal(base.parameters().get(spec.name)),
              !spec.name.ends_with(".v.weight") && !spec.name.ends_with(".wo.weight"))
        << spec.name;
  base.add_adapter(lora);
  load_trained(partial(), base).value();
  EXPECT_TRUE(base.trained().flat().equal(model_.trained().flat()));
  const auto optimizer = make_optimizer({}, base.trained());
  EXPECT_TRUE(load_optimizer(partial(), *optimizer).has_value());
}

TEST_F(CheckpointTest, RefusesToResumeAnotherRun) {
  const auto refused = [&](auto change) {
    CheckpointState other = state_;
    change(other);
    const auto status = check_resumable(state_, other, partial());
    return status.has_error() ? status.error().message : "";
  };
  EXPECT_NE(refused([](auto& s) { s.seed = 6; }).find("seed"), std::string::npos);
  EXPECT_NE(refused([](auto& s) { s.dataset_hash = "abd"; }).find("dataset"), std::string::npos);
  EXPECT_NE(refused([](auto& s) { s.tokenizer = "words"; }).find("tokenizer"), std::string::npos);
  state_.base_sha256 = std::string(64, 'b');
  EXPECT_NE(refused([](auto& s) { s.base_sha256 = std::string(64, 'c'); }).find("start model"), std::string::npos);
  EXPECT_NE(refused([](auto& s) { s.base_sha256 = ""; }).find("(none)"), std::string::npos);
  EXPECT_EQ(refused([](auto& s) { s.fingerprint = "g"; }), "") << "another machine may take a run up";
}

TEST_F(CheckpointTest, AnOptimizersStateOfAnotherModelIsRefused) {
  auto config = small_config();
  config.d_ff = 32;
  T5 other(config, at::kCPU);
  for (const char* name : {"adamw", "adafactor"}) {
    OptimizerConfig settings;
    settings.name = name;
    choose(settings);
    write(0, 1).value();
    const auto optimizer = make_optimizer(settings, other.parameters());
    const auto status = load_optimizer(partial(), *optimizer);
    ASSERT_TRUE(status.has_error());
    EXPECT_EQ(status.error().code, ErrorCode::kData);
    EXPECT_NE(status.error().where.find("optimizer-exp_avg"), std::string::npos) << status.error().where;
    EXPECT_NE(status.error().message.find("DenseReluDense"), std::string::npos) << status.error().message;
  }
}

TEST_F(CheckpointTest, AFailedWriteTakesItsOwnFilesBack) {
  fs::create_directories(partial() / kStateFile);  // a folder where the file has to go
  std::ofstream(partial() / kStateFile / "x") << "x";
  std::ofstream(partial() / "another-ranks-part") << "x";
  const auto parts = write(0, 1);
  ASSERT_TRUE(parts.has_error());
  EXPECT_EQ(parts.error().code, ErrorCode::kRun);
  EXPECT_EQ(parts.error().where, (partial() / kStateFile).string());
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(partial())) left.insert(entry.path().filename());
  EXPECT_EQ(left, (std::set<std::string>{kStateFile, "another-ranks-part"}));
}

}  // namespace
}  // namespace plumbline
