#include "coordinator/inspect/describe.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "common/data/hdf5.hpp"
#include "coordinator/inspect/rows.hpp"
#include "tests/common/data/damage.hpp"
#include "tests/common/plan/tiny_dataset.hpp"
#include "tests/coordinator/inspect/crafted.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class DescribeTest : public testing::Test {
 protected:
  void write_dataset() { static_cast<void>(TinyDataset(30).write(data())); }
  [[nodiscard]] fs::path data() const { return scratch_.path() / "data"; }
  [[nodiscard]] fs::path place(const std::string& name) const { return scratch_.path() / name; }
  static Json of(const fs::path& path, const InspectOptions& options = {}) { return describe(path, options).value(); }
  static Error error_of(const fs::path& path, const InspectOptions& options = {}) {
    const auto description = describe(path, options);
    EXPECT_TRUE(description.has_error());
    return description.has_error() ? description.error() : Error{};
  }
  ScratchFolder scratch_;
};

TEST_F(DescribeTest, ADatasetFolder) {
  write_dataset();
  const Json json = of(data());
  EXPECT_EQ(json["kind"], "dataset");
  EXPECT_EQ(json["name"], "tiny");
  EXPECT_EQ(json["content_hash"], Dataset::open(data())->content_hash());
  EXPECT_EQ(json["splits"]["train"]["examples"], 30);
  EXPECT_EQ(json["splits"]["heldout"]["examples"], 24);
  ASSERT_EQ(json["norms"].size(), 3u);
  EXPECT_EQ(json["norms"][0]["name"], "polite");
  EXPECT_EQ(json["norms"][0]["counts"]["train"],
            Json::parse(R"({"examples":10,"demonstrations":0,"preferences":10,"prohibitions":0})"));
  EXPECT_EQ(json["norms"][1]["counts"]["train"]["demonstrations"], 10);
  EXPECT_EQ(json["norms"][2]["counts"]["train"]["prohibitions"], 5);
  EXPECT_EQ(json["shards"].size(), 3u);
  EXPECT_EQ(json["shards"][0]["bytes"], fs::file_size(data() / "train-00000.h5"));
  EXPECT_EQ(json["attributes"]["root_length"]["known"], 54);
  EXPECT_EQ(json["attributes"]["root_length"]["min"], 10.0);
  EXPECT_EQ(json["rows"].size(), 6u) << "three of each split";
}

TEST_F(DescribeTest, LengthsAreMeasuredOverTheRowsThatHaveTheSide) {
  const TinyDataset tiny(30);
  static_cast<void>(tiny.write(data()));
  std::int64_t tokens = 0, examples = 0, longest = 0;
  for (const auto& e : tiny.train)
    if (!e.undesired.empty()) {
      ++examples;
      tokens += static_cast<std::int64_t>(e.undesired.size());
      longest = std::max(longest, static_cast<std::int64_t>(e.undesired.size()));
    }
  const Json json = of(data())["splits"]["train"]["lengths"]["undesired"];
  EXPECT_EQ(json["examples"], examples);
  EXPECT_EQ(json["tokens"], tokens);
  EXPECT_EQ(json["longest"], longest);
  EXPECT_DOUBLE_EQ(json["mean"], static_cast<double>(tokens) / static_cast<double>(examples));
}

TEST_F(DescribeTest, SampleRowsAreChosenAndDecoded) {
  const TinyDataset tiny(30);
  static_cast<void>(tiny.write(data()));
  InspectOptions options;
  options.rows = 4;
  options.norm = "no-secret";
  options.split = "heldout";
  const Json rows = of(data(), options)["rows"];
  ASSERT_EQ(rows.size(), 4u);
  for (const Json& row : rows) {
    EXPECT_EQ(row["split"], "heldout");
    EXPECT_EQ(row["norm"], "no-secret");
    const TokenizedExample& e = tiny.held_out.at(row["row"].get<std::size_t>());
    std::string source;
    for (const auto token : e.source)
      if (token != kEosToken) source.push_back(static_cast<char>(token - 3));
    EXPECT_EQ(row["source"], source);
    EXPECT_EQ(row["id"], to_string(e.id));
    EXPECT_EQ(row.contains("desired"), !e.desired.empty());
    EXPECT_EQ(row["kind"], e.desired.empty() ? "prohibition" : "preference");
    EXPECT_EQ(row["attributes"]["root_length"], e.attributes.at("root_length"));
  }
  options.rows = 0;
  EXPECT_TRUE(of(data(), options)["rows"].empty());
}

TEST_F(DescribeTest, UnknownNormsAndSplitsAreUsageErrors) {
  write_dataset();
  InspectOptions options;
  options.norm = "polit";
  EXPECT_EQ(error_of(data(), options).code, ErrorCode::kUsage);
  EXPECT_THAT(error_of(data(), options).hint, HasSubstr("polite, mirror, no-secret"));
  options = {};
  options.split = "test";
  EXPECT_EQ(error_of(data(), options).code, ErrorCode::kUsage);
  EXPECT_THAT(error_of(data() / "train-00000.h5", options).hint, HasSubstr("train and heldout"));
}

TEST_F(DescribeTest, AShardKnowsItsNormsByTheDatasetAroundIt) {
  write_dataset();
  const Json inside = of(data() / "train-00000.h5");
  EXPECT_EQ(inside["kind"], "shard");
  EXPECT_EQ(inside["split"], "train");
  EXPECT_EQ(inside["counts"]["examples"], 15);
  EXPECT_EQ(inside["listed"], true);
  EXPECT_EQ(inside["norms"][2]["name"], "no-secret");
  EXPECT_EQ(inside["rows"].size(), 3u);
  fs::copy_file(data() / "train-00000.h5", place("alone.h5"));
  const Json alone = of(place("alone.h5"));
  EXPECT_EQ(alone["listed"], false);
  EXPECT_EQ(alone["norms"][2]["name"], "2");
  EXPECT_EQ(alone["counts"], inside["counts"]);
}

TEST_F(DescribeTest, ADamagedShardIsNamed) {
  write_dataset();
  const fs::path shard = data() / "train-00000.h5";
  const std::string whole = read_file(shard).value();
  fs::resize_file(shard, whole.size() - 200);
  for (const fs::path& path : {data(), shard}) {
    EXPECT_EQ(error_of(path).code, ErrorCode::kData);
    EXPECT_EQ(error_of(path).where, shard.string());
  }
  fs::resize_file(shard, 3);  // not even the signature is left
  EXPECT_EQ(error_of(shard).where, shard.string());
}

TEST_F(DescribeTest, ASoundShardThatIsNotTheListedOneIsSeen) {
  write_dataset();
  fs::rename(data() / "train-00001.h5", data() / "train-00000.h5");
  EXPECT_THAT(error_of(data() / "train-00000.h5").message, HasSubstr("SHA-256"));
}

TEST_F(DescribeTest, ACheckpointIsVerifiedAndItsTensorsListed) {
  write_checkpoint(place("step-00000020"), 20);
  const Json json = of(place("step-00000020"));
  EXPECT_EQ(json["kind"], "checkpoint");
  EXPECT_EQ(json["step"], 20);
  EXPECT_EQ(json["seed"], 5);
  EXPECT_EQ(json["parameters"], 8);
  EXPECT_EQ(json["weights_sha256"], sha256_file(place("step-00000020") / "model.safetensors").value());
  EXPECT_EQ(json["fingerprint"], "cpu avx2, 1 thread");
  EXPECT_EQ(json["config"]["d_model"], 3);
  EXPECT_EQ(json["tensors"][1], Json::parse(R"({"name":"shared.weight","dtype":"F32","shape":[2,3]})"));
  EXPECT_EQ(json["files"].size(), 3u);
}

TEST_F(DescribeTest, ACheckpointsAdapterIsDescribedWhereTheManifestHasIt) {
  write_checkpoint(place("c"), 20, With::kAdapter);
  const Json json = of(place("c"));
  EXPECT_EQ(json["base_sha256"], std::string(64, 'b'));
  EXPECT_EQ(json["adapter"]["rank"], 2);
  EXPECT_EQ(json["adapter"]["targets"], Json::array({"q"}));
  EXPECT_EQ(json["adapter"]["parameters"], 8);
  EXPECT_EQ(json["files"].size(), 5u);
  EXPECT_EQ(of(place("c") / kAdapterFolder)["kind"], "adapter");
  flip_byte(place("c") / kAdapterFolder / kAdapterFile, 9);
  EXPECT_EQ(error_of(place("c")).where, (place("c") / kAdapterFolder / kAdapterFile).string());
  write_checkpoint(place("other"), 20);
  write_adapter(place("other") / kAdapterFolder);
  EXPECT_FALSE(of(place("other")).contains("adapter"));
  write_file_atomically(place("other") / kAdapterFolder / kAdapterConfigFile, R"({"peft_type":"IA3"})").value();
  EXPECT_THAT(error_of(place("other") / kAdapterFolder).message, HasSubstr("peft_type"));
}

TEST_F(DescribeTest, AFlippedByteInACheckpointIsNamed) {
  write_checkpoint(place("c"), 20);
  for (const char* name : {"model.safetensors", "config.json", "state.json"}) {
    flip_byte(place("c") / name, 9);
    EXPECT_EQ(error_of(place("c")).code, ErrorCode::kData);
    EXPECT_EQ(error_of(place("c")).where, (place("c") / name).string());
    flip_byte(place("c") / name, 9);
  }
  fs::remove(place("c") / "state.json");
  EXPECT_THAT(error_of(place("c")).where, HasSubstr("state.json"));
}

TEST_F(DescribeTest, AModelWithoutAManifestIsCalledAModel) {
  write_model(place("hf"));
  const Json json = of(place("hf"));
  EXPECT_EQ(json["kind"], "model");
  EXPECT_EQ(json["parameters"], 8);
  EXPECT_FALSE(json.contains("step"));
}

TEST_F(DescribeTest, AModelInShardsIsAModel) {
  write_model(place("hf"));
  fs::rename(place("hf") / "model.safetensors", place("hf") / "model-00001-of-00001.safetensors");
  write_file_atomically(place("hf") / "model.safetensors.index.json",
                        R"({"weight_map":{"shared.weight":"model-00001-of-00001.safetensors"}})")
      .value();
  const Json json = of(place("hf"));
  EXPECT_EQ(json["kind"], "model");
  EXPECT_EQ(json["parameters"], 8);
  fs::remove(place("hf") / "model-00001-of-00001.safetensors");
  EXPECT_THAT(error_of(place("hf")).where, HasSubstr("model-00001-of-00001.safetensors"));
}

TEST_F(DescribeTest, ASnapshot) {
  write_snapshot(place("step-00000040.h5"), crafted_snapshot()).value();
  const Json json = of(place("step-00000040.h5"));
  EXPECT_EQ(json["kind"], "snapshot");
  EXPECT_EQ(json["step"], 40);
  EXPECT_EQ(json["rows"], 3);
  EXPECT_EQ(json["dimension"], 2);
  EXPECT_EQ(json["pooling"], "mean");
  EXPECT_EQ(json["vector_length"], Json::parse(R"({"known":3,"min":0.0,"mean":5.0,"max":10.0})"));
  EXPECT_EQ(json["attributes"]["root_length"], Json::parse(R"({"known":2,"min":10.0,"mean":15.0,"max":20.0})"));
  EXPECT_EQ(json["attributes"]["unknown"], Json::parse(R"({"known":0})"));
  EXPECT_EQ(json["norms"][1], Json::parse(R"({"index":1,"rows":2})"));
}

TEST_F(DescribeTest, ARunDirectory) {
  write_run(place("run"));
  const Json json = of(place("run"));
  EXPECT_EQ(json["kind"], "run");
  EXPECT_EQ(json["name"], "crafted");
  EXPECT_EQ(json["state"], "stopped");
  EXPECT_EQ(json["step"], 20);
  EXPECT_EQ(json["steps"], 40);
  EXPECT_EQ(json["events"], 3);
  EXPECT_EQ(json["last_event"]["event"], "run_stopped");
  EXPECT_EQ(json["committed"]["step"], 20);
  ASSERT_EQ(json["checkpoints"].size(), 1u);
  EXPECT_EQ(json["checkpoints"][0]["step"], 20);
  EXPECT_EQ(json["checkpoints"][0]["weights_sha256"].get<std::string>().size(), 64u);
  EXPECT_EQ(json["snapshots"][0]["step"], 20);
  EXPECT_EQ(json["metrics"]["train"]["loss"], 1.25);
  EXPECT_EQ(json["config"]["data"], "/data/replies");
  EXPECT_FALSE(json.contains("report"));
}

TEST_F(DescribeTest, AYoungRunHasLittleToTell) {
  const RunLayout layout(place("run"));
  fs::create_directories(layout.root());
  RunConfig config;
  config.data = "d";
  write_file_atomically(layout.config(), to_yaml(config)).value();
  ASSERT_TRUE(Journal::open(layout)->append("run_created", Json::object()).has_value());
  const Json json = of(place("run"));
  EXPECT_EQ(json["state"], "open");
  EXPECT_EQ(json["step"], 0);
  EXPECT_TRUE(json["checkpoints"].empty());
  EXPECT_TRUE(json["metrics"].empty());
}

TEST_F(DescribeTest, ABrokenJournalIsNamed) {
  write_run(place("run"));
  flip_byte(place("run") / "journal.jsonl", 20);
  EXPECT_EQ(error_of(place("run")).code, ErrorCode::kData);
  EXPECT_THAT(error_of(place("run")).where, HasSubstr("journal.jsonl"));
}

TEST_F(DescribeTest, WhatIsNotOursIsADataErrorThatSaysWhatIs) {
  std::ofstream(place("notes.txt")) << "nothing";
  H5File other = H5File::create(place("other.h5")).value();
  other.write("values", std::vector<float>{1}).value();
  other.flush_and_close().value();
  fs::create_directories(place("empty"));
  for (const char* name : {"notes.txt", "other.h5", "empty", "nowhere"}) {
    const Error error = error_of(place(name));
    EXPECT_EQ(error.code, ErrorCode::kData) << name;
    EXPECT_EQ(error.where, place(name).string());
    EXPECT_THAT(error.hint, HasSubstr("dataset folder"));
  }
  EXPECT_THAT(error_of("/dev/null").message, HasSubstr("neither a file nor a folder"));
}

TEST(SpreadTest, IsEvenAndWithinBounds) {
  EXPECT_THAT(spread(10, 3), ElementsAre(0, 3, 6));
  EXPECT_THAT(spread(2, 5), ElementsAre(0, 1));
  EXPECT_THAT(spread(0, 5), ElementsAre());
  EXPECT_THAT(spread(5, 0), ElementsAre());
}

}  // namespace
}  // namespace plumbline
