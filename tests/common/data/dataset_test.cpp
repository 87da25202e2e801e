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
  const Error unknown = after([](Json& j) { j["tokenizer"] = "words"; });
  EXPECT_EQ(unknown.code, ErrorCode::kData);
  EXPECT_THAT(unknown.message, HasSubstr("tokenizer \"words\""));
  EXPECT_THAT(unknown.where, HasSubstr("dataset.json"));
  EXPECT_THAT(after([](Json& j) { j["vocab_size"] = 300; }).message, HasSubstr("vocab_size is 300"));
}

TEST_F(DatasetTest, TheByteTokenizersContentHashStaysWhatItWas) {
  const Dataset dataset = TinyDataset(12).write(folder());
  Json content = info();
  EXPECT_FALSE(content.contains("sentencepiece"));
  content.erase("name");
  content.erase("provenance");
  for (Json& shard : content["shards"]) shard = {{"sha256", shard["sha256"]}, {"split", shard["split"]}};
  EXPECT_EQ(dataset.content_hash(), sha256_hex(content.dump()));
}

/// A dataset of one row, by the SentencePiece model of the tokenizer's tests.
class SentencePieceDataset : public DatasetTest {
 protected:
  static constexpr const char* kText = "The protein folds.";
  SentencePieceDataset() {
    fs::create_directories(folder());
    fs::copy_file(model(), folder() / kSentencePieceFile);
    const auto tokenizer = load_sentencepiece(model(), 100).value();
    DatasetInfo made;
    made.name = "pieces";
    made.tokenizer = tokenizer->name();
    made.vocab_size = tokenizer->vocab_size();
    made.sentencepiece = SentencePieceEntry{kSentencePieceFile, 100, sha256_file(model()).value()};
    made.norms = {TinyDataset(1).norms[1]};
    TokenizedExample row;
    row.id = {1, 1};
    row.kind = ExampleKind::kDemonstration;
    row.source = row.desired = tokenizer->encode(kText);
    write_shard(folder() / "train-00000.h5", {made.tokenizer, made.vocab_size, kTrainSplit}, {row}).value();
    made.shards = {{"train-00000.h5", kTrainSplit, 1, sha256_file(folder() / "train-00000.h5").value()}};
    write_info(to_json(made));
  }
  static fs::path model() { return fs::path(PLUMBLINE_SOURCE_DIR) / "tests/common/text/spiece.model"; }
};

TEST_F(SentencePieceDataset, OpensWithItsTokenizer) {
  auto opened = Dataset::open(folder());
  ASSERT_TRUE(opened.has_value()) << to_string(opened.error());
  const Tokenizer& tokenizer = opened->tokenizer();
  const Dataset dataset = std::move(*opened);
  EXPECT_EQ(&dataset.tokenizer(), &tokenizer);
  EXPECT_EQ(dataset.tokenizer().name(), "sentencepiece");
  EXPECT_EQ(text_of(dataset.tokenizer(), dataset.train().tokens(0, Side::kSource)), kText);
  EXPECT_EQ(to_json(dataset_info_from_json(info(), "x").value()), info());
}

TEST_F(SentencePieceDataset, ADamagedOrReplacedModelIsNamed) {
  const fs::path file = folder() / kSentencePieceFile;
  for (const Verify verify : {Verify::kHashes, Verify::kSizes}) {
    flip_byte(file, 1000);
    const auto damaged = Dataset::open(folder(), verify);
    ASSERT_TRUE(damaged.has_error());
    EXPECT_EQ(damaged.error().code, ErrorCode::kData);
    EXPECT_EQ(damaged.error().where, file.string());
    EXPECT_THAT(damaged.error().message, HasSubstr("SHA-256"));
    flip_byte(file, 1000);
  }
  ASSERT_TRUE(Dataset::open(folder()).has_value());
  fs::remove(file);
  EXPECT_EQ(Dataset::open(folder()).error().where, file.string());
}

TEST_F(SentencePieceDataset, ContentHashIsOfTheModelAndItsExtraIdsAndNotOfTheFilesName) {
  const std::string hash = Dataset::open(folder()).value().content_hash();
  fs::rename(folder() / kSentencePieceFile, folder() / "other.model");
  Json json = info();
  json["sentencepiece"]["file"] = "other.model";
  write_info(json);
  EXPECT_EQ(Dataset::open(folder()).value().content_hash(), hash);
  EXPECT_THAT(after([](Json& j) { j["sentencepiece"]["extra_ids"] = 99; }).message, HasSubstr("vocab_size is 400"));
}

TEST_F(SentencePieceDataset, DatasetJsonIsChecked) {
  const auto says = [&](auto change) { return to_string(after(change)); };
  EXPECT_THAT(says([](Json& j) { j.erase("sentencepiece"); }), HasSubstr("\"sentencepiece\" is missing"));
  EXPECT_THAT(says([](Json& j) { j["tokenizer"] = "byte"; }), HasSubstr("belongs to the tokenizer of that name"));
  EXPECT_THAT(says([](Json& j) { j["sentencepiece"] = 1; }), HasSubstr("dataset.json: sentencepiece"));
  EXPECT_THAT(says([](Json& j) { j["sentencepiece"]["file"] = "../spiece.model"; }), HasSubstr("plain file name"));
  EXPECT_THAT(says([](Json& j) { j["sentencepiece"]["extra_ids"] = -1; }), HasSubstr("extra_ids"));
  EXPECT_THAT(says([](Json& j) { j["sentencepiece"]["extra_ids"] = 10'001; }), HasSubstr("extra_ids"));
  EXPECT_THAT(says([](Json& j) { j["sentencepiece"].erase("extra_ids"); }), HasSubstr("extra_ids"));
  EXPECT_THAT(says([](Json& j) { j["sentencepiece"]["sha256"] = "12"; }), HasSubstr("64 hexadecimal digits"));
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
