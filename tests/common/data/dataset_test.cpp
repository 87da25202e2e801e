#include "common/data/dataset.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <functional>

#include "common/core/files.hpp"
#include "tests/common/data/damage.hpp"
#include "tests/common/plan/tiny_dataset.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class DatasetTest : public testing::Test {
 protected:
  [[nodiscard]] fs::path folder() const { return scratch_.path() / "data"; }
  void write(const TinyDataset& tiny) const { static_cast<void>(tiny.write(folder())); }
  [[nodiscard]] Json info() const { return read_json_file(folder() / "dataset.json").value(); }
  void write_info(const Json& json) const { write_file_atomically(folder() / "dataset.json", json.dump()).value(); }
  /// The error of opening after `change` was made to dataset.json.
  template <class Change>
  Error after(Change change, Verify verify = Verify::kHashes) const {
    const Json whole = info();
    Json changed = whole;
    change(changed);
    write_info(changed);
    const auto opened = Dataset::open(folder(), verify);
    write_info(whole);
    EXPECT_TRUE(opened.has_error());
    return opened.has_error() ? opened.error() : Error{};
  }
  ScratchFolder scratch_;
};

TEST_F(DatasetTest, ASplitIsItsShardsInOrder) {
  const TinyDataset tiny(41);
  const Dataset dataset = tiny.write(folder());
  EXPECT_EQ(dataset.info().name, "tiny");
  EXPECT_EQ(dataset.folder(), folder());
  ASSERT_EQ(dataset.train().size(), 41);
  ASSERT_EQ(dataset.held_out().size(), 24);
  for (std::int64_t row = 0; row < 41; ++row) {
    const TokenizedExample& e = tiny.train[static_cast<std::size_t>(row)];
    EXPECT_EQ(dataset.train().id(row), e.id);
    EXPECT_EQ(dataset.train().kind(row), e.kind);
    EXPECT_EQ(dataset.train().norm(row), e.norm);
    EXPECT_EQ(dataset.train().weight(row), e.weight);
    EXPECT_EQ(dataset.train().tokens(row, Side::kSource), std::vector<std::int64_t>(e.source.begin(), e.source.end()));
    EXPECT_EQ(dataset.train().length(row, Side::kDesired), static_cast<std::int32_t>(e.desired.size()));
    EXPECT_EQ(dataset.train().tokens(row, Side::kUndesired),
              std::vector<std::int64_t>(e.undesired.begin(), e.undesired.end()));
  }
  EXPECT_EQ(dataset.train().at(20).row, 0) << "the second shard begins after 20 rows";
  EXPECT_EQ(Split().size(), 0);
}

TEST_F(DatasetTest, InfoGoesThroughJsonUnchanged) {
  const Dataset dataset = TinyDataset(6).write(folder());
  const Json json = to_json(dataset.info());
  EXPECT_EQ(to_json(dataset_info_from_json(json, "x").value()), json);
}

TEST_F(DatasetTest, ContentHashIsOfWhatTheDatasetHoldsAndNotOfItsName) {
  const std::string hash = TinyDataset(12).write(folder()).content_hash();
  EXPECT_EQ(hash.size(), 64u);
  const auto with = [&](auto change) {
    const Json whole = info();
    Json changed = whole;
    change(changed);
    write_info(changed);
    const std::string other = Dataset::open(folder()).value().content_hash();
    write_info(whole);
    return other;
  };
  EXPECT_EQ(with([](Json& j) { j["name"] = "renamed", j["provenance"]["note"] = "later"; }), hash);
  EXPECT_NE(with([](Json& j) { j["norms"][0]["weight"] = 0.5; }), hash);
  EXPECT_NE(with([](Json& j) { std::swap(j["shards"][0], j["shards"][1]); }), hash) << "the order of rows changes";
  const fs::path moved = scratch_.path() / "moved";
  fs::rename(folder(), moved);
  EXPECT_EQ(Dataset::open(moved).value().content_hash(), hash);
  fs::remove_all(moved);
  EXPECT_NE(TinyDataset(12, 24, 8).write(folder()).content_hash(), hash);
}

TEST_F(DatasetTest, AMissingDatasetSaysHowToMakeOne) {
  const Error nowhere = Dataset::open(folder()).error();
  EXPECT_EQ(nowhere.code, ErrorCode::kData);
  EXPECT_THAT(to_string(nowhere), HasSubstr(folder().string()));
  EXPECT_THAT(nowhere.hint, HasSubstr("plumbline curate"));
  fs::create_directories(folder());
  const Error empty = Dataset::open(folder()).error();
  EXPECT_THAT(empty.message, HasSubstr("dataset.json"));
  EXPECT_THAT(empty.hint, HasSubstr("plumbline curate"));
}

TEST_F(DatasetTest, ADamagedShardIsNamed) {
  write(TinyDataset(12));
  const fs::path file = folder() / "train-00001.h5";
  const std::size_t size = fs::file_size(file);
  for (std::size_t i = 0; i < size; i += 211) {
    flip_byte(file, i);
    for (const Verify verify : {Verify::kHashes, Verify::kSizes}) {
      const auto opened = Dataset::open(folder(), verify);
      ASSERT_TRUE(opened.has_error()) << i;
      EXPECT_EQ(opened.error().code, ErrorCode::kData);
      EXPECT_EQ(opened.error().where, file.string());
    }
    flip_byte(file, i);
  }
  fs::remove(file);
  EXPECT_THAT(Dataset::open(folder()).error().message, HasSubstr("missing"));
  EXPECT_EQ(Dataset::open(folder()).error().where, file.string());
}

TEST_F(DatasetTest, AnotherSoundShardInItsPlaceIsSeenByItsHash) {
  const TinyDataset tiny(12);
  write(tiny);
  auto rows = std::vector<TokenizedExample>(tiny.train.begin(), tiny.train.begin() + 6);
  rows[0].source = {70, kEosToken};
  write_shard(folder() / "train-00000.h5", {"byte", 384, kTrainSplit}, rows).value();
  EXPECT_THAT(Dataset::open(folder()).error().message, HasSubstr("SHA-256"));
  EXPECT_TRUE(Dataset::open(folder(), Verify::kSizes).has_value()) << "sizes alone agree";
}

TEST_F(DatasetTest, TheTokenizerMustBeOurs) {
  write(TinyDataset(12));
  const Error unknown = after([](Json& j) { j["tokenizer"] = "sentencepiece"; });
  EXPECT_EQ(unknown.code, ErrorCode::kData);
  EXPECT_THAT(unknown.message, HasSubstr("tokenizer \"sentencepiece\""));
  EXPECT_THAT(unknown.where, HasSubstr("dataset.json"));
  EXPECT_THAT(after([](Json& j) { j["vocab_size"] = 300; }).message, HasSubstr("vocab_size is 300"));
}

TEST_F(DatasetTest, ANewerSchemaIsSaidToBeNewer) {
  write(TinyDataset(12));
  const Error newer = after([](Json& j) { j = Json{{"schema_version", 2}, {"unheard", "of"}}; });
  EXPECT_THAT(newer.message, HasSubstr("schema version 2, newer than this program's 1"));
  EXPECT_THAT(newer.hint, HasSubstr("newer Plumbline"));
}

TEST_F(DatasetTest, ShardsMustAgreeWithDatasetJson) {
  const TinyDataset tiny(12);
  write(tiny);
  EXPECT_THAT(after([](Json& j) { j["shards"][0]["examples"] = 7; }).message, HasSubstr("number of examples: 6 and 7"));
  EXPECT_THAT(after([](Json& j) { j["shards"][0]["split"] = "heldout"; }).message, HasSubstr("split"));
  EXPECT_THAT(after([](Json& j) { j["norms"].erase(2); }).message, HasSubstr("norm 2"));
  write_shard(folder() / "train-00000.h5", {"other", 384, kTrainSplit}, {tiny.train.begin(), tiny.train.begin() + 6})
      .value();
  EXPECT_THAT(Dataset::open(folder(), Verify::kSizes).error().message, HasSubstr("tokenizer"));
}

struct BadInfo {
  const char* name;
  std::function<void(Json&)> spoil;
  const char* message;
};
class BadInfoTest : public testing::TestWithParam<BadInfo> {};

/// What to_json(DatasetInfo) gives for a dataset of two shards.
Json sound_info() {
  DatasetInfo info;
  info.name = "tiny";
  info.norms = TinyDataset(1).norms;
  info.shards = {{"train-00000.h5", kTrainSplit, 6, std::string(64, 'a')},
                 {"heldout-00000.h5", kHeldOutSplit, 2, std::string(64, 'b')}};
  return to_json(info);
}

TEST_P(BadInfoTest, IsADataErrorThatNamesDatasetJson) {
  Json json = sound_info();
  ASSERT_TRUE(dataset_info_from_json(json, "data/dataset.json").has_value());
  GetParam().spoil(json);
  const auto info = dataset_info_from_json(json, "data/dataset.json");
  ASSERT_TRUE(info.has_error());
  EXPECT_EQ(info.error().code, ErrorCode::kData);
  EXPECT_THAT(info.error().where, HasSubstr("data/dataset.json"));
  EXPECT_THAT(info.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadInfoTest,
    testing::Values(
        BadInfo{"NotAnObject", [](Json& j) { j = Json::array(); }, "schema_version"},
        BadInfo{"NoVersion", [](Json& j) { j.erase("schema_version"); }, "schema_version"},
        BadInfo{"VersionZero", [](Json& j) { j["schema_version"] = 0; }, "does not exist"},
        BadInfo{"VersionText", [](Json& j) { j["schema_version"] = "1"; }, "schema_version"},
        BadInfo{"NoTokenizer", [](Json& j) { j.erase("tokenizer"); }, "tokenizer"},
        BadInfo{"NormsNotAList", [](Json& j) { j["norms"] = 3; }, "norms"},
        BadInfo{"NormTwice", [](Json& j) { j["norms"][1] = j["norms"][0]; }, "twice"},
        BadInfo{"NoShards", [](Json& j) { j.erase("shards"); }, "shards"},
        BadInfo{"ShardTwice", [](Json& j) { j["shards"][1] = j["shards"][0]; }, "twice"},
        BadInfo{"ShardElsewhere", [](Json& j) { j["shards"][0]["file"] = "../x.h5"; }, "plain file name"},
        BadInfo{"ShardAbsolute", [](Json& j) { j["shards"][0]["file"] = "/etc/passwd"; }, "plain file name"},
        BadInfo{"ShardHidden", [](Json& j) { j["shards"][0]["file"] = ".."; }, "plain file name"},
        BadInfo{"ShardNameless", [](Json& j) { j["shards"][0]["file"] = ""; }, "plain file name"},
        BadInfo{"ShardSplit", [](Json& j) { j["shards"][0]["split"] = "test"; }, "neither train nor heldout"},
        BadInfo{"ShardExamples", [](Json& j) { j["shards"][0]["examples"] = -1; }, "fewer than none"},
        BadInfo{"ShardHash", [](Json& j) { j["shards"][0]["sha256"] = "12"; }, "64 hexadecimal digits"}),
    [](const auto& param) { return param.param.name; });

TEST_F(DatasetTest, BrokenJsonIsADataErrorThatNamesTheFile) {
  write(TinyDataset(12));
  std::ofstream(folder() / "dataset.json", std::ios::trunc) << "{\"schema_version\": 1,";
  const Error error = Dataset::open(folder()).error();
  EXPECT_EQ(error.code, ErrorCode::kData);
  EXPECT_THAT(to_string(error), HasSubstr("dataset.json"));
}

}  // namespace
}  // namespace plumbline
