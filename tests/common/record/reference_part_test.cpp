#include "common/record/reference_part.hpp"

#include <gmock/gmock.h>

#include "common/core/files.hpp"
#include "common/data/hdf5.hpp"
#include "tests/common/data/damage.hpp"
#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

const std::string kModel(64, 'a');

ReferencePart part_of_three() {
  return {
      kModel,
      {{{~0ull, 1}, {{-1.5f, -1.0f, 4, 2}, {-20.25f, -20.25f, 9, 9}}}, {{3, 7}, {}}, {{3, 8}, {{-0.0f, -0.0f, 1, 0}}}}};
}

class ReferencePartTest : public ScratchTest {};

TEST_F(ReferencePartTest, ComesBackToTheBit) {
  const ReferencePart part = part_of_three();
  ASSERT_TRUE(write_reference_part(file("p.h5"), part).has_value());
  const ReferencePart back = read_reference_part(file("p.h5"), kModel).value();
  EXPECT_EQ(back.model, kModel);
  ASSERT_EQ(back.groups.size(), 3u);
  for (std::size_t g = 0; g < 3; ++g) {
    EXPECT_EQ(back.groups[g].key, part.groups[g].key);
    EXPECT_EQ(back.groups[g].outputs, part.groups[g].outputs);
  }
  ASSERT_TRUE(write_reference_part(file("again.h5"), part).has_value());
  EXPECT_EQ(read_file(file("p.h5")).value(), read_file(file("again.h5")).value()) << "two runs write the same file";
  ASSERT_TRUE(write_reference_part(file("empty.h5"), {kModel, {}}).has_value());
  EXPECT_TRUE(read_reference_part(file("empty.h5"), kModel).value().groups.empty());
}

TEST_F(ReferencePartTest, ThePartsNameHangsOnItsGroups) {
  ReferencePart part = part_of_three();
  const std::string name = reference_part_name(part);
  EXPECT_TRUE(name.ends_with(".h5") && is_hex(name.substr(0, name.size() - 3), 32, 32)) << name;
  part.groups[0].outputs.clear();
  EXPECT_EQ(reference_part_name(part), name);
  part.groups.pop_back();
  EXPECT_NE(reference_part_name(part), name);
}

TEST_F(ReferencePartTest, AnyChangedOrMissingByteIsRefused) {
  ASSERT_TRUE(write_reference_part(file("p.h5"), part_of_three()).has_value());
  const std::string bytes = read_file(file("p.h5")).value();
  for (std::size_t place = 0; place < bytes.size(); place += 37) {
    flip_byte(file("p.h5"), place);
    const auto part = read_reference_part(file("p.h5"), kModel);
    ASSERT_TRUE(part.has_error()) << "byte " << place;
    EXPECT_EQ(part.error().code, ErrorCode::kData);
    EXPECT_THAT(part.error().where, HasSubstr("p.h5"));
    flip_byte(file("p.h5"), place);
  }
  ASSERT_TRUE(read_reference_part(file("p.h5"), kModel).has_value()) << "mended";
  for (const std::size_t kept : {std::size_t{0}, std::size_t{15}, bytes.size() / 2, bytes.size() - 1}) {
    write_file_atomically(file("cut.h5"), bytes.substr(0, kept)).value();
    EXPECT_TRUE(read_reference_part(file("cut.h5"), kModel).has_error()) << kept << " bytes";
  }
}

TEST_F(ReferencePartTest, AnotherModelsOrVersionsIsRefused) {
  ASSERT_TRUE(write_reference_part(file("p.h5"), part_of_three()).has_value());
  const auto other = read_reference_part(file("p.h5"), std::string(64, 'b'));
  ASSERT_TRUE(other.has_error());
  EXPECT_THAT(other.error().message, HasSubstr("another model"));
  H5File newer = H5File::create(file("newer.h5")).value();
  newer.write_attribute("version", std::int64_t{2}).value();
  newer.flush_and_close().value();
  const auto version = read_reference_part(file("newer.h5"), kModel);
  ASSERT_TRUE(version.has_error());
  EXPECT_THAT(version.error().message, HasSubstr("version 2"));
}

TEST_F(ReferencePartTest, ListsThatDoNotFitTogetherAreRefused) {
  struct Case {
    const char* what;
    std::vector<std::uint64_t> keys;
    std::vector<std::int64_t> offsets;
    std::vector<float> log_probs;
    std::vector<std::int32_t> tokens;
  };
  const Case cases[] = {
      {"no offset", {}, {}, {}, {}},
      {"it begins elsewhere", {1, 2}, {1, 1}, {-1, -1}, {1, 1}},
      {"more outputs than log-probs", {1, 2}, {0, 2}, {-1, -1}, {1, 1}},
      {"fewer outputs than log-probs", {1, 2}, {0, 0}, {-1, -1}, {1, 1}},
      {"falling offsets", {1, 2, 3, 4, 5, 6}, {0, 2, -1, 1}, {-1, -1}, {1, 1}},
      {"keys for more groups", {1, 2, 3, 4}, {0, 1}, {-1, -1}, {1, 1}},
      {"no lengths", {1, 2}, {0, 1}, {-1, -1}, {}},
  };
  for (const Case& c : cases) {
    H5File h5 = H5File::create(file("p.h5")).value();
    h5.write_attribute("version", std::int64_t{1}).value();
    h5.write_attribute("model", kModel).value();
    h5.write("keys", c.keys).value();
    h5.write("offsets", c.offsets).value();
    h5.write("log_probs", c.log_probs).value();
    h5.write("tokens", c.tokens).value();
    h5.flush_and_close().value();
    const auto part = read_reference_part(file("p.h5"), kModel);
    ASSERT_TRUE(part.has_error()) << c.what;
    EXPECT_THAT(part.error().message, HasSubstr("do not fit together")) << c.what;
  }
}

TEST(GroupKey, NamesTheTokensTheirSidesAndTheirOrder) {
  const RowTokens row{{5, 6, 1}, {7, 1}, {8, 1}}, other{{5, 1}, {7, 1}, {}};
  const GroupKey key = group_key({row, other});
  EXPECT_EQ(key, group_key({row, other}));
  EXPECT_NE(key, group_key({other, row}));
  EXPECT_NE(key, group_key({row}));
  EXPECT_NE(group_key({{{5, 6}, {1}, {}}}), group_key({{{5}, {6, 1}, {}}}));
  EXPECT_NE(group_key({{{5}, {6}, {}}}), group_key({{{5}, {}, {6}}}));
}

}  // namespace
}  // namespace plumbline
