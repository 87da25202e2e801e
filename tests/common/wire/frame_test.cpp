#include "common/wire/frame.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

namespace plumbline {
namespace {

using testing::HasSubstr;
using Header = std::array<std::byte, kFrameHeaderBytes>;

Header header_of(const std::string& bytes) {
  Header header;
  std::transform(bytes.begin(), bytes.begin() + kFrameHeaderBytes, header.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  return header;
}

Status check(const std::string& bytes) {
  const Header raw = header_of(bytes);
  PLUMBLINE_ASSIGN(const FrameHeader header, decode_header(raw));
  return verify_payload(raw, header, std::string_view(bytes).substr(kFrameHeaderBytes));
}

TEST(FrameTest, TheBytesAreTheDocumentedOnes) {
  const std::string bytes = encode_frame({0x0203, Generation(0x0102030405060708), "{}"}).value();
  ASSERT_EQ(bytes.size(), kFrameHeaderBytes + 2);
  const std::string expected(
      "PLBL"
      "\x02\x00"
      "\x03\x02"
      "\x08\x07\x06\x05\x04\x03\x02\x01"
      "\x02\x00\x00\x00"
      "\x00\x00\x00\x00",
      24);
  EXPECT_EQ(bytes.substr(0, 24), expected);
  EXPECT_EQ(bytes.substr(kFrameHeaderBytes), "{}");
}

TEST(FrameTest, ComesBack) {
  for (const std::string& payload : {std::string(), std::string("{\"a\":1}"), std::string(kMaxPayloadBytes, 'x')}) {
    const std::string bytes = encode_frame({7, Generation(std::numeric_limits<std::uint64_t>::max()), payload}).value();
    const FrameHeader header = decode_header(header_of(bytes)).value();
    EXPECT_EQ(header.type, 7);
    EXPECT_EQ(header.generation.value(), std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(header.payload_bytes, payload.size());
    EXPECT_TRUE(check(bytes).has_value());
  }
}

TEST(FrameTest, APayloadThatIsTooLargeIsNotSent) {
  const auto refused = encode_frame({1, Generation(1), std::string(kMaxPayloadBytes + 1, 'x')});
  EXPECT_EQ(refused.error().code, ErrorCode::kRun);
}

TEST(FrameTest, EveryFlippedBitIsFound) {
  const std::string good = encode_frame({3, Generation(9), "{\"step\":1}"}).value();
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    EXPECT_TRUE(check(bad).has_error()) << "bit " << bit;
  }
}

TEST(FrameTest, AWrongHeaderSaysWhatIsWrong) {
  const std::string good = encode_frame({3, Generation(9), ""}).value();
  const auto with = [&](std::size_t at, char value) {
    std::string bad = good;
    bad[at] = value;
    return decode_header(header_of(bad)).error().message;
  };
  EXPECT_THAT(with(0, 'X'), HasSubstr("PLBL"));
  EXPECT_THAT(with(4, 1), HasSubstr("version 1"));
  EXPECT_THAT(with(20, 1), HasSubstr("reserved"));
  EXPECT_THAT(with(19, 1), HasSubstr("too large"));
}

TEST(FrameTest, APayloadOfAnotherLengthIsRefused) {
  const std::string bytes = encode_frame({3, Generation(9), "{}"}).value();
  EXPECT_TRUE(check(bytes + " ").has_error());
  EXPECT_TRUE(check(bytes.substr(0, bytes.size() - 1)).has_error());
}

TEST(FrameBufferTest, TakesWholeFramesOutOfPieces) {
  const std::string bytes =
      encode_frame({3, Generation(9), "{\"step\":1}"}).value() + encode_frame({4, Generation(9), "{}"}).value();
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    FrameBuffer buffer;
    std::vector<Frame> frames;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      buffer.add(std::string_view(bytes).substr(at, piece));
      while (auto frame = buffer.take().value()) frames.push_back(*frame);
    }
    ASSERT_EQ(frames.size(), 2u) << piece;
    EXPECT_EQ(frames[0].payload, "{\"step\":1}");
    EXPECT_EQ(frames[1].type, 4);
    EXPECT_EQ(buffer.size(), 0u);
  }
}

/// What 4 GiB of payload are announced with is refused at once; nothing waits for them.
TEST(FrameBufferTest, AHugeFrameIsRefusedByItsHeader) {
  std::string header = encode_frame({3, Generation(9), ""}).value();
  for (int at = 16; at < 20; ++at) header[static_cast<std::size_t>(at)] = '\xff';
  FrameBuffer buffer;
  buffer.add(std::string_view(header).substr(0, kFrameHeaderBytes - 1));
  EXPECT_FALSE(buffer.take().value().has_value());
  buffer.add(std::string_view(header).substr(kFrameHeaderBytes - 1));
  const auto refused = buffer.take();
  ASSERT_TRUE(refused.has_error());
  EXPECT_THAT(refused.error().message, HasSubstr("4294967295"));
}

}  // namespace
}  // namespace plumbline
