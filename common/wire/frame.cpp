#include "common/wire/frame.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "common/core/check.hpp"

namespace plumbline {

namespace {

constexpr std::string_view kMagic = "PLBL";
constexpr std::size_t kVersionAt = 4, kTypeAt = 6, kGenerationAt = 8, kPayloadBytesAt = 16, kReservedAt = 20,
                      kChecksumAt = 24;

template <class T>
void put(std::string& bytes, std::size_t at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) bytes[at + i] = static_cast<char>(value >> (8 * i) & 0xff);
}

template <class T>
T get(std::span<const std::byte, kFrameHeaderBytes> bytes, std::size_t at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(value | std::to_integer<T>(bytes[at + i]) << (8 * i));
  return value;
}

std::uint64_t checksum_of(std::string_view header, std::string_view payload) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), XXH3_freeState);
  PLUMBLINE_CHECK(state != nullptr, "no memory for a checksum");
  XXH3_64bits_reset(state.get());
  XXH3_64bits_update(state.get(), header.data(), kChecksumAt);
  XXH3_64bits_update(state.get(), payload.data(), payload.size());
  return XXH3_64bits_digest(state.get());
}

Error bad_frame(std::string what) {
  return run_error("a malformed frame: " + std::move(what), "control plane",
                   "Both ends must be the same version of Plumbline.");
}

}  // namespace

Result<std::string> encode_frame(const Frame& frame) {
  if (frame.payload.size() > kMaxPayloadBytes)
    return run_error("a message of " + std::to_string(frame.payload.size()) + " bytes is too large to send",
                     "control plane", "The limit is " + std::to_string(kMaxPayloadBytes) + " bytes.");
  std::string bytes(kFrameHeaderBytes, '\0');
  bytes.replace(0, kMagic.size(), kMagic);
  put(bytes, kVersionAt, kWireVersion);
  put(bytes, kTypeAt, frame.type);
  put(bytes, kGenerationAt, frame.generation.value());
  put(bytes, kPayloadBytesAt, static_cast<std::uint32_t>(frame.payload.size()));
  put(bytes, kChecksumAt, checksum_of(bytes, frame.payload));
  bytes += frame.payload;
  return bytes;
}

Result<FrameHeader> decode_header(std::span<const std::byte, kFrameHeaderBytes> bytes) {
  if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin(),
                  [](char expected, std::byte got) { return static_cast<std::byte>(expected) == got; }))
    return bad_frame("it does not begin with PLBL");
  const auto version = get<std::uint16_t>(bytes, kVersionAt);
  if (version != kWireVersion) return bad_frame("wire version " + std::to_string(version) + " is not spoken here");
  if (get<std::uint32_t>(bytes, kReservedAt) != 0) return bad_frame("its reserved bytes are not zero");
  FrameHeader header;
  header.type = get<std::uint16_t>(bytes, kTypeAt);
  header.generation = Generation(get<std::uint64_t>(bytes, kGenerationAt));
  header.payload_bytes = get<std::uint32_t>(bytes, kPayloadBytesAt);
  header.checksum = get<std::uint64_t>(bytes, kChecksumAt);
  if (header.payload_bytes > kMaxPayloadBytes)
    return bad_frame("its payload of " + std::to_string(header.payload_bytes) + " bytes is too large");
  return header;
}

Status verify_payload(std::span<const std::byte, kFrameHeaderBytes> header_bytes, const FrameHeader& header,
                      std::string_view payload) {
  if (payload.size() != header.payload_bytes) return bad_frame("its payload is not as long as it says");
  const std::string_view raw(reinterpret_cast<const char*>(header_bytes.data()), header_bytes.size());
  if (checksum_of(raw, payload) != header.checksum) return bad_frame("its checksum does not fit");
  return {};
}

Result<std::optional<Frame>> FrameBuffer::take() {
  if (arrived_.size() < kFrameHeaderBytes) return std::optional<Frame>();
  std::array<std::byte, kFrameHeaderBytes> raw{};
  std::memcpy(raw.data(), arrived_.data(), raw.size());
  PLUMBLINE_ASSIGN(const FrameHeader header, decode_header(raw));
  if (arrived_.size() < kFrameHeaderBytes + header.payload_bytes) return std::optional<Frame>();
  Frame frame{header.type, header.generation, arrived_.substr(kFrameHeaderBytes, header.payload_bytes)};
  PLUMBLINE_TRY(verify_payload(raw, header, frame.payload));
  arrived_.erase(0, kFrameHeaderBytes + header.payload_bytes);
  return std::optional<Frame>(std::move(frame));
}

}  // namespace plumbline
