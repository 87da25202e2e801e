// Control-plane bytes: a frame's header and its payload, whose message message_fuzz.cpp reads. What is accepted must
// come out the same again. And a stream of frames, which must come out the same in whatever pieces it arrives.
#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "common/core/check.hpp"
#include "common/wire/message.hpp"

namespace {

using namespace plumbline;

/// An accepted frame, encoded again, has the same header; its message is one or is refused.
void read_frame(const Frame& frame, std::span<const std::byte, kFrameHeaderBytes> raw) {
  const auto again = encode_frame(frame);
  PLUMBLINE_CHECK(again.has_value() && std::memcmp(again->data(), raw.data(), raw.size()) == 0,
                  "a frame is not encoded as it was");
  const auto message = from_frame(frame);
  PLUMBLINE_CHECK(message.has_value() || message.error().code == ErrorCode::kRun, "a peer's fault is called another's");
}

/// All frames of the stream until it ends or is refused; in pieces of `piece` bytes.
std::vector<Frame> frames_of(std::string_view stream, std::size_t piece) {
  FrameBuffer buffer;
  std::vector<Frame> frames;
  while (!stream.empty()) {
    buffer.add(stream.substr(0, piece));
    stream.remove_prefix(std::min(piece, stream.size()));
    for (;;) {
      auto frame = buffer.take();
      if (frame.has_error()) return frames;
      if (!frame.value()) break;
      frames.push_back(std::move(*frame.value()));
    }
    PLUMBLINE_CHECK(buffer.size() < kFrameHeaderBytes + kMaxPayloadBytes, "more is held than one frame");
  }
  return frames;
}

void read_stream(std::string_view stream) {
  const auto whole = frames_of(stream, stream.size()), pieces = frames_of(stream, 7);
  PLUMBLINE_CHECK(whole.size() == pieces.size(), "pieces give other frames than the whole");
  for (std::size_t i = 0; i < whole.size(); ++i)
    PLUMBLINE_CHECK(whole[i].payload == pieces[i].payload, "pieces give another payload than the whole");
}

/// Two frames that are good as far as their checksum goes, made of the input, and the input behind them.
void read_good_frames(std::string_view input) {
  const std::string payload(input.substr(0, input.size() / 2));
  const std::string frame = encode_frame({3, Generation(1), payload}).value();
  const std::string stream = frame + frame + std::string(input);
  const auto frames = frames_of(stream, 5);
  PLUMBLINE_CHECK(frames.size() >= 2 && frames[0].payload == payload && frames[1].payload == payload,
                  "a good frame is lost");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // As a whole frame, which the checksum mostly refuses.
  if (size >= kFrameHeaderBytes) {
    std::array<std::byte, kFrameHeaderBytes> raw;
    std::memcpy(raw.data(), data, raw.size());
    const std::string_view payload(reinterpret_cast<const char*>(data) + raw.size(), size - raw.size());
    if (const auto header = decode_header(raw); header.has_value()) {
      PLUMBLINE_CHECK(header.value().payload_bytes <= kMaxPayloadBytes, "an unbounded payload");
      if (verify_payload(raw, header.value(), payload).has_value())
        read_frame({header.value().type, header.value().generation, std::string(payload)}, raw);
    }
  }
  read_stream({reinterpret_cast<const char*>(data), size});
  if (size <= kMaxPayloadBytes) read_good_frames({reinterpret_cast<const char*>(data), size});
  return 0;
}
