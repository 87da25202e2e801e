// Frames of the control plane. One frame carries one message:
//   offset  size  field
//        0     4  magic "PLBL"
//        4     2  wire version (2), little-endian as every number
//        6     2  message type
//        8     8  generation that the sender believes in (0: none)
//       16     4  payload bytes, at most kMaxPayloadBytes
//       20     4  reserved, zero
//       24     8  XXH3-64 of bytes 0..23 and the payload
//       32     …  payload: JSON, UTF-8
// A frame that breaks any of this ends the connection; nothing is allocated before the header has been checked.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"

namespace plumbline {

inline constexpr std::size_t kFrameHeaderBytes = 32;
inline constexpr std::uint32_t kMaxPayloadBytes = 4u << 20;  ///< the status of 16,384 workers fits
inline constexpr std::uint16_t kWireVersion = 2;

struct FrameHeader {
  std::uint16_t type = 0;
  Generation generation;
  std::uint32_t payload_bytes = 0;
  std::uint64_t checksum = 0;
};
struct Frame {
  std::uint16_t type = 0;
  Generation generation;
  std::string payload;
};

/// Fails (run error) when the payload is too large.
Result<std::string> encode_frame(const Frame& frame);
Result<FrameHeader> decode_header(std::span<const std::byte, kFrameHeaderBytes> bytes);
Status verify_payload(std::span<const std::byte, kFrameHeaderBytes> header_bytes, const FrameHeader& header,
                      std::string_view payload);

/// Whole frames out of bytes that arrive in pieces. Holds no more than one frame and what was added at once.
class FrameBuffer {
 public:
  void add(std::string_view bytes) { arrived_ += bytes; }
  /// The next whole frame; nothing when more is to come; an error (decode_header, verify_payload) as soon as the header
  /// is there, and then nothing that follows can be trusted.
  Result<std::optional<Frame>> take();
  [[nodiscard]] std::size_t size() const { return arrived_.size(); }

 private:
  std::string arrived_;
};

}  // namespace plumbline
