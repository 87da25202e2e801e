// TensorBoard's event files, as far as scalars over steps need them. A file is a sequence of TFRecords,
//   uint64 length | uint32 masked CRC-32C of those 8 bytes | data | uint32 masked CRC-32C of the data (little-endian)
// and the data of each is a protocol buffer of the type Event (tensorflow/core/util/event.proto):
//   Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog
//   session_log = 7 } Summary { repeated Value value = 1 }      Value { string tag = 1; float simple_value = 2 }
//   SessionLog { SessionStatus status = 1 }   START = 1: what the reader has of this step and later ones is void
// Pure: bytes out, bytes in.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plumbline {

struct Scalar {
  std::string tag;
  double value = 0;  ///< finite; kept as a float
  friend bool operator==(const Scalar&, const Scalar&) = default;
};

/// What a file begins with.
std::string event_file_head(double wall_time);
/// Everything at `step` and later that was said before is void.
std::string restart_record(double wall_time, std::int64_t step);
std::string scalars_record(double wall_time, std::int64_t step, const std::vector<Scalar>& scalars);

/// Castagnoli's CRC, masked as TFRecords have it: a stored CRC is no CRC of itself.
std::uint32_t masked_crc32c(std::string_view bytes);

/// How many of the first bytes hold only whole records of steps before `step` (those without a step count as step 0,
/// but the file's head stays). What follows a broken record is not looked at, as no reader can.
std::size_t bytes_before_step(std::string_view file, std::int64_t step);

}  // namespace plumbline
