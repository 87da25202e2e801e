#include "common/record/event_file.hpp"

#include <gtest/gtest.h>

#include "common/core/files.hpp"

namespace plumbline {
namespace {

const std::string kHead = event_file_head(1764000000.25);

TEST(EventFile, BytesAreThoseOfTensorBoardsWriter) {
  const std::string written =
      kHead + scalars_record(1764000001.5, 0, {{"heldout/polite/loss", 3.5}}) +
      scalars_record(1764000002.5, 1, {{"loss", 0.1}, {"norm/polite/rewards/margins", -1e-3}}) +
      scalars_record(1764000301.5, 300, {{"loss", 1e30}, {"norm/höflich/loss", 2.0}, {"zero", 0.0}}) +
      restart_record(1764000002.0, 2);
  EXPECT_EQ(written, read_file(PLUMBLINE_SOURCE_DIR "/tests/common/record/event_file_golden.tfevents").value());
}

TEST(EventFile, TheChecksumIsCastagnolisMasked) {
  // RFC 3720, B.4: 32 bytes of zeros have the CRC 0x8a9136aa.
  const std::uint32_t crc = 0x8A9136AAU;
  EXPECT_EQ(masked_crc32c(std::string(32, '\0')), (crc >> 15 | crc << 17) + 0xA282EAD8U);
}

TEST(EventFile, WhatStandsBeforeAStep) {
  const std::string first = scalars_record(1, 0, {{"a", 1}}), second = scalars_record(2, 1, {{"a", 2}}),
                    third = scalars_record(3, 200, {{"a", 3}});
  const std::string file = kHead + first + second + third;
  EXPECT_EQ(bytes_before_step(file, 0), kHead.size()) << "the head is of no step";
  EXPECT_EQ(bytes_before_step(file, 1), (kHead + first).size());
  EXPECT_EQ(bytes_before_step(file, 2), (kHead + first + second).size());
  EXPECT_EQ(bytes_before_step(file, 201), file.size());
  EXPECT_EQ(bytes_before_step("", 5), 0u);
}

TEST(EventFile, ABrokenRecordEndsIt) {
  const std::string first = scalars_record(1, 1, {{"a", 1}}), second = scalars_record(2, 2, {{"a", 2}});
  const std::string whole = kHead + first + second;
  const std::size_t before = (kHead + first).size();
  for (std::size_t bytes = before; bytes < whole.size(); ++bytes)
    EXPECT_EQ(bytes_before_step(whole.substr(0, bytes), 9), before) << "cut";
  for (std::size_t at = before; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] ^= 0x10;
    EXPECT_EQ(bytes_before_step(flipped, 9), before) << "byte " << at;
  }
}

}  // namespace
}  // namespace plumbline
