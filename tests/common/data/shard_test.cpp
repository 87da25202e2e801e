#include "common/data/shard.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "common/core/files.hpp"
#include "common/data/hdf5.hpp"
#include "tests/common/data/damage.hpp"
#include "tests/common/plan/tiny_dataset.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

const ShardHeader kBytes{"byte", 384, "train"};

TokenizedExample preference() {
  TokenizedExample e;
  e.id = {0x0123456789abcdefull, 42};
  e.norm = 2;
  e.kind = ExampleKind::kPreference;
  e.weight = 0.5f;
  e.source = {70, 71, 72, kEosToken};
  e.desired = {80, kEosToken};
  e.undesired = {90, 91, kEosToken};
  e.attributes = {{"root_length", 33.0f}, {"divergence", 0.25f}};
  return e;
}

TokenizedExample demonstration() {
  TokenizedExample e;
  e.id = {7, 8};
  e.source = {kEosToken};
  e.desired = {383, kEosToken};
  e.attributes = {{"root_length", 12.0f}};
  return e;
}

TokenizedExample prohibition() {
  TokenizedExample e;
  e.id = {std::numeric_limits<std::uint64_t>::max(), 0};
  e.norm = 65535;
  e.kind = ExampleKind::kProhibition;
  e.weight = 0;
  e.source = {100, kEosToken};
  e.undesired = {kEosToken};
  return e;
}

class ShardTest : public testing::Test {
 protected:
  [[nodiscard]] fs::path path(const std::string& name = "train-00000.h5") const { return folder_.path() / name; }
  static std::vector<std::int64_t> tokens(const ShardReader& shard, std::int64_t row, Side side) {
    std::vector<std::int64_t> out;
    shard.append(row, side, out);
    EXPECT_EQ(static_cast<std::int64_t>(out.size()), shard.length(row, side));
    return out;
  }
  ScratchFolder folder_;
};

TEST_F(ShardTest, GivesBackEveryRow) {
  write_shard(path(), kBytes, {preference(), demonstration(), prohibition()}).value();
  const ShardReader shard = ShardReader::open(path()).value();
  EXPECT_EQ(shard.header().tokenizer, "byte");
  EXPECT_EQ(shard.header().vocab_size, 384);
  EXPECT_EQ(shard.header().split, "train");
  ASSERT_EQ(shard.size(), 3);
  EXPECT_THAT(tokens(shard, 0, Side::kSource), ElementsAre(70, 71, 72, 1));
  EXPECT_THAT(tokens(shard, 0, Side::kDesired), ElementsAre(80, 1));
  EXPECT_THAT(tokens(shard, 0, Side::kUndesired), ElementsAre(90, 91, 1));
  EXPECT_THAT(tokens(shard, 1, Side::kDesired), ElementsAre(383, 1));
  EXPECT_THAT(tokens(shard, 1, Side::kUndesired), ElementsAre());
  EXPECT_THAT(tokens(shard, 2, Side::kDesired), ElementsAre());
  EXPECT_THAT(tokens(shard, 2, Side::kUndesired), ElementsAre(1));
  EXPECT_EQ(shard.kind(0), ExampleKind::kPreference);
  EXPECT_EQ(shard.kind(1), ExampleKind::kDemonstration);
  EXPECT_EQ(shard.kind(2), ExampleKind::kProhibition);
  EXPECT_EQ(shard.norm(2), 65535);
  EXPECT_EQ(shard.weight(0), 0.5f);
  EXPECT_EQ(shard.weight(2), 0.0f);
  EXPECT_EQ(shard.id(0), preference().id);
  EXPECT_EQ(shard.id(2), prohibition().id);
  EXPECT_THAT(shard.attribute_names(), ElementsAre("divergence", "root_length"));
  EXPECT_EQ(shard.attribute(0, "divergence"), 0.25f);
  EXPECT_EQ(shard.attribute(1, "root_length"), 12.0f);
  EXPECT_TRUE(std::isnan(shard.attribute(1, "divergence")));
  EXPECT_TRUE(std::isnan(shard.attribute(0, "unheard of")));
}

TEST_F(ShardTest, AppendKeepsWhatIsThere) {
  write_shard(path(), kBytes, {preference()}).value();
  std::vector<std::int64_t> out{-1};
  ShardReader::open(path()).value().append(0, Side::kDesired, out);
  EXPECT_THAT(out, ElementsAre(-1, 80, 1));
}

TEST_F(ShardTest, LargeVocabulariesTakeFourBytes) {
  TokenizedExample e = demonstration();
  e.source = {65536, 70'000, kEosToken};
  EXPECT_TRUE(write_shard(path(), {"byte", 65536, "train"}, {e}).has_error());
  write_shard(path(), {"wide", 70'001, "train"}, {e}).value();
  EXPECT_THAT(tokens(ShardReader::open(path()).value(), 0, Side::kSource), ElementsAre(65536, 70'000, 1));
  EXPECT_TRUE(H5File::open(path()).value().extent<std::int32_t>("source/tokens").has_value());
  e.source = {65535, kEosToken};
  write_shard(path(), {"narrow", 65536, "train"}, {e}).value();
  EXPECT_THAT(tokens(ShardReader::open(path()).value(), 0, Side::kSource), ElementsAre(65535, 1));
  EXPECT_TRUE(H5File::open(path()).value().extent<std::uint16_t>("source/tokens").has_value());
}

TEST_F(ShardTest, AShardMayBeEmpty) {
  write_shard(path(), kBytes, {}).value();
  EXPECT_EQ(ShardReader::open(path()).value().size(), 0);
}

TEST_F(ShardTest, TheSameExamplesAreTheSameBytes) {
  write_shard(path("a.h5"), kBytes, {preference(), prohibition()}).value();
  write_shard(path("b.h5"), kBytes, {preference(), prohibition()}).value();
  EXPECT_EQ(sha256_file(path("a.h5")).value(), sha256_file(path("b.h5")).value());
}

TEST_F(ShardTest, OutlivesItsFileAndIsReadFromSeveralThreads) {
  std::vector<TokenizedExample> examples(200, preference());
  write_shard(path(), kBytes, examples).value();
  ShardReader opened = ShardReader::open(path()).value();
  const ShardReader shard = std::move(opened);
  fs::remove(path());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&shard] {
      for (std::int64_t row = 0; row < shard.size(); ++row)
        EXPECT_THAT(tokens(shard, row, Side::kSource), ElementsAre(70, 71, 72, 1));
    });
  for (auto& thread : threads) thread.join();
}

struct BadExample {
  const char* name;
  std::function<void(TokenizedExample&)> spoil;
  const char* message;
};
class BadExampleTest : public ShardTest, public testing::WithParamInterface<BadExample> {};

TEST_P(BadExampleTest, IsNotWritten) {
  TokenizedExample bad = preference();
  GetParam().spoil(bad);
  const Status status = write_shard(path(), kBytes, {preference(), bad});
  ASSERT_TRUE(status.has_error());
  EXPECT_THAT(status.error().message, HasSubstr("row 1"));
  EXPECT_THAT(status.error().message, HasSubstr(GetParam().message));
  EXPECT_EQ(status.error().where, path().string());
  EXPECT_FALSE(fs::exists(path()));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadExampleTest,
    testing::Values(BadExample{"AbsentSource", [](auto& e) { e.source.clear(); }, "source is empty"},
                    BadExample{"AbsentSide", [](auto& e) { e.undesired.clear(); }, "undesired is empty"},
                    BadExample{"SideTooMany", [](auto& e) { e.kind = ExampleKind::kDemonstration; },
                               "undesired has tokens"},
                    BadExample{"NoEnd", [](auto& e) { e.desired = {80}; }, "end-of-sequence"},
                    BadExample{"NegativeToken",
                               [](auto& e) {
                                 e.desired = {-1, 1};
                               },
                               "outside the vocabulary"},
                    BadExample{"UnknownToken",
                               [](auto& e) {
                                 e.source = {384, 1};
                               },
                               "outside the vocabulary"},
                    BadExample{"Weight", [](auto& e) { e.weight = std::nanf(""); }, "weight"},
                    BadExample{"NegativeWeight", [](auto& e) { e.weight = -1; }, "weight"},
                    BadExample{"AttributeName", [](auto& e) { e.attributes["a/b"] = 1; }, "attribute"}),
    [](const auto& param) { return param.param.name; });

/// A shard written by hand, one part of which is wrong.
struct Parts {
  std::string format = "plumbline-shard", tokenizer = "byte", split = "train";
  std::int64_t version = 1, vocab_size = 384;
  std::vector<std::uint16_t> source{70, 1, 71, 72, 1}, desired{80, 1}, undesired{90, 1};
  std::vector<std::int64_t> source_offsets{0, 2, 5}, desired_offsets{0, 2, 2}, undesired_offsets{0, 0, 2};
  std::vector<std::uint16_t> norm{0, 1};
  std::vector<std::uint8_t> kind{0, 2};
  std::vector<float> weight{1, 1};
  std::vector<std::uint64_t> id{1, 2, 3, 4}, id_shape{2, 2};
  std::vector<float> root_length{10, 20};
  std::string left_out;

  void write(const fs::path& file) const {
    H5File out = H5File::create(file).value();
    const auto put = [&](const std::string& name, const auto& values, std::vector<std::uint64_t> shape = {}) {
      if (name != left_out) out.write(name, values, std::move(shape)).value();
    };
    out.write_attribute("format", format).value();
    out.write_attribute("version", version).value();
    out.write_attribute("tokenizer", tokenizer).value();
    out.write_attribute("vocab_size", vocab_size).value();
    out.write_attribute("split", split).value();
    put("source/tokens", source), put("source/offsets", source_offsets);
    put("desired/tokens", desired), put("desired/offsets", desired_offsets);
    put("undesired/tokens", undesired), put("undesired/offsets", undesired_offsets);
    put("norm", norm), put("kind", kind), put("weight", weight), put("id", id, id_shape);
    put("attributes/root_length", root_length);
    out.flush_and_close().value();
  }
};

TEST_F(ShardTest, TheHandWrittenShardIsSound) {
  Parts().write(path());
  EXPECT_EQ(ShardReader::open(path()).value().size(), 2);
}

struct BadShard {
  const char* name;
  std::function<void(Parts&)> spoil;
  const char* message;
};
class BadShardTest : public ShardTest, public testing::WithParamInterface<BadShard> {};

TEST_P(BadShardTest, IsADataErrorThatNamesTheFile) {
  Parts parts;
  GetParam().spoil(parts);
  parts.write(path());
  const auto shard = ShardReader::open(path());
  ASSERT_TRUE(shard.has_error());
  EXPECT_EQ(shard.error().code, ErrorCode::kData);
  EXPECT_EQ(shard.error().where, path().string());
  EXPECT_THAT(shard.error().message, HasSubstr(GetParam().message));
  EXPECT_FALSE(shard.error().hint.empty());
}

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
INSTANTIATE_TEST_SUITE_P(
    All, BadShardTest,
    testing::Values(BadShard{"Format", [](Parts& p) { p.format = "else"; }, "not a shard"},
                    BadShard{"NewerVersion", [](Parts& p) { p.version = 2; }, "version 2"},
                    BadShard{"NoSuchVersion", [](Parts& p) { p.version = 0; }, "makes no sense"},
                    BadShard{"NoTokenizer", [](Parts& p) { p.tokenizer = ""; }, "makes no sense"},
                    BadShard{"NoVocabulary", [](Parts& p) { p.vocab_size = 0; }, "makes no sense"},
                    BadShard{"HugeVocabulary", [](Parts& p) { p.vocab_size = kHuge; }, "makes no sense"},
                    BadShard{"Width", [](Parts& p) { p.vocab_size = 100'000; }, "element type"},
                    BadShard{"MissingTokens", [](Parts& p) { p.left_out = "desired/tokens"; }, "desired/tokens"},
                    BadShard{"MissingOffsets", [](Parts& p) { p.left_out = "undesired/offsets"; }, "undesired/offsets"},
                    BadShard{"MissingNorm", [](Parts& p) { p.left_out = "norm"; }, "norm"},
                    BadShard{"MissingId", [](Parts& p) { p.left_out = "id"; }, "id"},
                    BadShard{"NormRows", [](Parts& p) { p.norm.push_back(0); }, "number of rows"},
                    BadShard{"WeightRows", [](Parts& p) { p.weight.pop_back(); }, "number of rows"},
                    BadShard{"IdShape",
                             [](Parts& p) {
                               p.id_shape = {4, 1};
                             },
                             "number of rows"},
                    BadShard{"AttributeRows", [](Parts& p) { p.root_length.pop_back(); }, "attributes/root_length"},
                    BadShard{"OffsetsStart",
                             [](Parts& p) {
                               p.source_offsets = {1, 2, 5};
                             },
                             "source/offsets"},
                    BadShard{"OffsetsFall",
                             [](Parts& p) {
                               p.source_offsets = {0, 6, 5};
                             },
                             "source/offsets"},
                    BadShard{"OffsetsNegative",
                             [](Parts& p) {
                               p.source_offsets = {0, -2, 5};
                             },
                             "source/offsets"},
                    BadShard{"OffsetsBeyond",
                             [](Parts& p) {
                               p.source_offsets = {0, 2, kHuge};
                             },
                             "source/offsets"},
                    BadShard{"OffsetsShort",
                             [](Parts& p) {
                               p.source_offsets = {0, 2, 4};
                             },
                             "source/offsets"},
                    BadShard{"OffsetsFew",
                             [](Parts& p) {
                               p.source_offsets = {0, 5};
                             },
                             "source/offsets"},
                    BadShard{"OffsetsNone", [](Parts& p) { p.source_offsets = {}; }, "source/offsets"},
                    BadShard{"Token", [](Parts& p) { p.source[0] = 384; }, "row 0: its source holds"},
                    BadShard{"NoEnd", [](Parts& p) { p.source[4] = 72; }, "row 1: its source does not end"},
                    BadShard{"Kind", [](Parts& p) { p.kind[1] = 3; }, "unknown kind 3"},
                    BadShard{"KindAndSides", [](Parts& p) { p.kind[1] = 1; }, "row 1: its desired is empty"},
                    BadShard{"Weight", [](Parts& p) { p.weight[1] = std::numeric_limits<float>::infinity(); },
                             "row 1 has a weight"}),
    [](const auto& param) { return param.param.name; });

TEST_F(ShardTest, ADamagedFileIsADataErrorThatNamesIt) {
  write_shard(path(), kBytes, {preference(), demonstration(), prohibition()}).value();
  const auto expect_refused = [&](std::size_t place) {
    const auto shard = ShardReader::open(path());
    ASSERT_TRUE(shard.has_error()) << place;
    EXPECT_EQ(shard.error().code, ErrorCode::kData);
    EXPECT_THAT(to_string(shard.error()), HasSubstr("train-00000.h5"));
  };
  const std::size_t size = fs::file_size(path());
  for (std::size_t i = 0; i < size; i += 5) {
    flip_byte(path(), i);
    expect_refused(i);
    flip_byte(path(), i);
  }
  EXPECT_TRUE(ShardReader::open(path()).has_value());
  for (std::size_t cut = size - 1; cut > 13; cut -= 13) {
    fs::resize_file(path(), cut);
    expect_refused(cut);
  }
}

}  // namespace
}  // namespace plumbline
