#include "worker/model/safetensors.hpp"

#include <fstream>
#include <random>

#include "tests/worker/golden.hpp"

namespace plumbline {
namespace {

std::string with_header(const std::string& header, const std::string& data) {
  std::string out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(header.size() >> (8 * i)));
  return out + header + data;
}

class SafetensorsTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file() const { return folder_.path() / "x.safetensors"; }
  auto read(const std::string& bytes) {
    std::ofstream(file(), std::ios::binary) << bytes;
    return read_safetensors(file());
  }
  std::string written() {
    const std::vector<NamedTensor> tensors{{"b", at::arange(6, at::kFloat).view({2, 3})},
                                           {"a", at::arange(3, at::kLong)},
                                           {"empty", at::zeros({0, 4})},
                                           {"half", at::arange(3, at::kFloat).to(at::kHalf)},
                                           {"brain", at::arange(5, at::kFloat).to(at::kBFloat16)}};
    EXPECT_TRUE(write_safetensors(file(), tensors));
    return read_file(file()).value();
  }
  TemporaryFolder folder_;
};

TEST_F(SafetensorsTest, ReadsBackWhatItWrote) {
  const std::string bytes = written();
  const auto tensors = read_safetensors(file());
  ASSERT_TRUE(tensors) << to_string(tensors.error());
  EXPECT_EQ(tensors->size(), 5u);
  EXPECT_TRUE(at::equal(tensors->at("b"), at::arange(6, at::kFloat).view({2, 3})));
  EXPECT_TRUE(at::equal(tensors->at("a"), at::arange(3, at::kLong)));
  EXPECT_EQ(tensors->at("empty").sizes(), (std::vector<std::int64_t>{0, 4}));
  EXPECT_EQ(tensors->at("half").scalar_type(), at::kHalf);
  EXPECT_EQ(tensors->at("brain").scalar_type(), at::kBFloat16);
  EXPECT_EQ((8 + static_cast<unsigned char>(bytes[0]) + 256 * static_cast<unsigned char>(bytes[1])) % 64, 0)
      << "data starts on a 64-byte boundary";
}

TEST_F(SafetensorsTest, EqualTensorsGiveEqualFiles) { EXPECT_EQ(written(), written()); }

TEST_F(SafetensorsTest, EveryTruncationIsAnErrorThatNamesTheFile) {
  const std::string bytes = written();
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto result = read(bytes.substr(0, n));
    ASSERT_FALSE(result) << n << " bytes";
    EXPECT_EQ(result.error().code, ErrorCode::kData);
    EXPECT_NE(result.error().where.find("x.safetensors"), std::string::npos) << result.error().where;
  }
}

TEST_F(SafetensorsTest, FlippedHeaderBitsNeverCrash) {
  const std::string bytes = written();
  const std::size_t header = 8 + static_cast<unsigned char>(bytes[0]) + 256u * static_cast<unsigned char>(bytes[1]);
  int refused = 0;
  for (std::size_t i = 0; i < header; ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      refused += read(damaged).has_error() ? 1 : 0;
    }
  EXPECT_GT(refused, 0);
}

TEST_F(SafetensorsTest, DamageIsNamed) {
  const struct {
    const char* header;
    const char* said;
  } cases[] = {
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,80]}})", "reaches outside"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "reaches outside"},
      {R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "disagree"},
      {R"({"t":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}})", "too large"},
      {R"({"t":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "counts"},
      {R"({"t":{"dtype":"F8","shape":[8],"data_offsets":[0,8]}})", "dtype"},
      {R"({"t":{"shape":[8],"data_offsets":[0,8]}})", "dtype"},
      {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "gap"},
      {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "end at byte 4"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"u":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "overlaps"},
      {R"({"t":7})", "dtype"},
      {R"([1,2])", "not a JSON object"},
  };
  for (const auto& c : cases) {
    const auto result = read(with_header(c.header, std::string(8, '\0')));
    ASSERT_FALSE(result) << c.header;
    EXPECT_NE(to_string(result.error()).find(c.said), std::string::npos) << c.header << "\n"
                                                                         << to_string(result.error());
  }
}

TEST_F(SafetensorsTest, AMissingFileIsAnError) {
  const auto result = read_safetensors(folder_.path() / "none.safetensors");
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().where.find("none.safetensors"), std::string::npos);
}

}  // namespace
}  // namespace plumbline
