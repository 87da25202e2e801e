#include "coordinator/inspect/safetensors_header.hpp"

#include <gmock/gmock.h>

#include "tests/common/plan/tiny_dataset.hpp"
#include "tests/coordinator/inspect/crafted.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<std::vector<TensorEntry>> parse(const std::string& header, std::uint64_t data_bytes) {
  return parse_safetensors_header(header, data_bytes, "m");
}

TEST(SafetensorsHeaderTest, ListsTensorsInTheOrderOfTheirData) {
  const auto entries = parse(kTwoTensors, 28).value();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].name, "bias");
  EXPECT_EQ(entries[0].dtype, "BF16");
  EXPECT_EQ(entries[0].elements(), 2u);
  EXPECT_EQ(entries[1].name, "shared.weight");
  EXPECT_THAT(entries[1].shape, ElementsAre(2u, 3u));
  EXPECT_EQ(entries[1].elements(), 6u);
  EXPECT_TRUE(parse("{}", 0)->empty());
}

TEST(SafetensorsHeaderTest, AScalarHasOneElementAndAnEmptyTensorNone) {
  const auto entries = parse(R"({"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"I64","shape":[0,5],"data_offsets":[8,8]}})",
                             8)
                           .value();
  EXPECT_EQ(entries[0].elements(), 1u);
  EXPECT_EQ(entries[1].elements(), 0u);
}

struct Bad {
  const char* name;
  const char* header;
  const char* message;
};
class BadHeaderTest : public testing::TestWithParam<Bad> {};

TEST_P(BadHeaderTest, IsADataError) {
  const auto entries = parse(GetParam().header, 8);
  ASSERT_TRUE(entries.has_error());
  EXPECT_EQ(entries.error().code, ErrorCode::kData);
  EXPECT_THAT(to_string(entries.error()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadHeaderTest,
    testing::Values(
        Bad{"NotJson", "{", "m"}, Bad{"NotAnObject", "[]", "not a JSON object"},
        Bad{"NoDtype", R"({"a":{"shape":[2],"data_offsets":[0,8]}})", "dtype"},
        Bad{"OtherDtype", R"({"a":{"dtype":"Q7","shape":[2],"data_offsets":[0,8]}})", "\"Q7\""},
        Bad{"NoShape", R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", "shape"},
        Bad{"NegativeShape", R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "shape"},
        Bad{"FractionalShape", R"({"a":{"dtype":"F32","shape":[0.5],"data_offsets":[0,8]}})", "shape"},
        Bad{"HugeShape", R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", "too large"},
        Bad{"OneOffset", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}})", "data_offsets"},
        Bad{"Backwards", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "data_offsets"},
        Bad{"WrongSize", R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "disagree"},
        Bad{"Beyond", R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "cover 16 bytes"},
        Bad{"Short", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "cover 4 bytes"},
        Bad{"Gap", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "gap"},
        Bad{"Overlap",
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
            "overlaps"},
        Bad{"NotAnEntry", R"({"a":3})", "tensor a"}),
    [](const auto& param) { return param.param.name; });

TEST(SafetensorsFileTest, DamageIsADataErrorThatNamesTheFile) {
  const ScratchFolder folder;
  const auto file = folder.path() / "model.safetensors";
  const std::string whole = safetensors_bytes(kTwoTensors, 28);
  write_file_atomically(file, whole).value();
  EXPECT_EQ(read_safetensors_header(file)->size(), 2u);
  for (std::size_t size = whole.size(); size-- > 0;) {
    std::filesystem::resize_file(file, size);
    const auto entries = read_safetensors_header(file);
    ASSERT_TRUE(entries.has_error()) << size;
    EXPECT_THAT(to_string(entries.error()), HasSubstr("model.safetensors"));
  }
  write_file_atomically(file, std::string(16, '\xff')).value();
  EXPECT_THAT(read_safetensors_header(file).error().message, HasSubstr("claims 18446744073709551615 bytes"));
  EXPECT_TRUE(read_safetensors_header(folder.path() / "absent").has_error());
}

}  // namespace
}  // namespace plumbline
