#include "common/record/event_file.hpp"

#include <array>
#include <bit>

namespace plumbline {
namespace {

// --- protocol buffers: a field is a varint key (number << 3 | wire type) and its value

enum WireType : unsigned { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
template <class Unsigned>
void put_fixed(std::string& out, Unsigned value) {
  for (unsigned byte = 0; byte < sizeof value; ++byte) out += static_cast<char>(value >> (8 * byte));
}
void put_key(std::string& out, unsigned field, WireType type) { put_varint(out, field << 3 | type); }
void put_text(std::string& out, unsigned field, std::string_view text) {
  put_key(out, field, kLengthDelimited);
  put_varint(out, text.size());
  out += text;
}
/// A number that is zero is the default, and absent.
void put_number(std::string& out, unsigned field, std::int64_t value) {
  if (value == 0) return;
  put_key(out, field, kVarint);
  put_varint(out, static_cast<std::uint64_t>(value));
}

enum EventField : unsigned { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7 };
enum SummaryField : unsigned { kValue = 1 };
enum ValueField : unsigned { kTag = 1, kSimpleValue = 2 };
enum SessionLogField : unsigned { kStatus = 1 };
constexpr std::int64_t kStart = 1;

std::string event(double wall_time, std::int64_t step) {
  std::string out;
  put_key(out, kWallTime, kFixed64);
  put_fixed(out, std::bit_cast<std::uint64_t>(wall_time));
  put_number(out, kStep, step);
  return out;
}

// --- TFRecords

constexpr std::size_t kLengthBytes = 8, kCrcBytes = 4, kHeaderBytes = kLengthBytes + kCrcBytes;

std::string record(std::string_view data) {
  std::string out;
  out.reserve(kHeaderBytes + data.size() + kCrcBytes);
  put_fixed(out, static_cast<std::uint64_t>(data.size()));
  put_fixed(out, masked_crc32c(out));
  out += data;
  put_fixed(out, masked_crc32c(data));
  return out;
}

template <class Unsigned>
Unsigned get_fixed(std::string_view bytes) {
  Unsigned value = 0;
  for (unsigned byte = 0; byte < sizeof value; ++byte)
    value |= static_cast<Unsigned>(static_cast<unsigned char>(bytes[byte])) << (8 * byte);
  return value;
}

/// The first record's data; nothing when it is not whole.
std::optional<std::string_view> first_record(std::string_view file) {
  if (file.size() < kHeaderBytes + kCrcBytes) return std::nullopt;
  const auto length = get_fixed<std::uint64_t>(file);
  if (get_fixed<std::uint32_t>(file.substr(kLengthBytes)) != masked_crc32c(file.substr(0, kLengthBytes)))
    return std::nullopt;
  if (length > file.size() - kHeaderBytes - kCrcBytes) return std::nullopt;
  const std::string_view data = file.substr(kHeaderBytes, length);
  if (get_fixed<std::uint32_t>(file.substr(kHeaderBytes + length)) != masked_crc32c(data)) return std::nullopt;
  return data;
}

std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

struct Seen {
  std::int64_t step = 0;
  bool is_head = false;
};
/// What bytes_before_step wants of an Event; nothing when its fields cannot be told apart.
std::optional<Seen> look_at(std::string_view event) {
  Seen seen;
  while (!event.empty()) {
    const auto key = take_varint(event);
    if (!key) return std::nullopt;
    std::size_t skipped = 0;
    switch (*key & 7) {
      case kVarint: {
        const auto value = take_varint(event);
        if (!value) return std::nullopt;
        if (*key >> 3 == kStep) seen.step = static_cast<std::int64_t>(*value);
        break;
      }
      case kFixed64:
        skipped = 8;
        break;
      case kFixed32:
        skipped = 4;
        break;
      case kLengthDelimited: {
        const auto length = take_varint(event);
        if (!length || *length > event.size()) return std::nullopt;
        seen.is_head = seen.is_head || *key >> 3 == kFileVersion;
        skipped = *length;
        break;
      }
      default:
        return std::nullopt;
    }
    if (skipped > event.size()) return std::nullopt;
    event.remove_prefix(skipped);
  }
  return seen;
}

constexpr std::array<std::uint32_t, 256> crc32c_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82F63B78U : crc >> 1;
    table[byte] = crc;
  }
  return table;
}

}  // namespace

std::uint32_t masked_crc32c(std::string_view bytes) {
  static constexpr auto kTable = crc32c_table();
  std::uint32_t crc = ~0U;
  for (const char c : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xA282EAD8U;
}

std::string event_file_head(double wall_time) {
  std::string data = event(wall_time, 0);
  put_text(data, kFileVersion, "brain.Event:2");
  return record(data);
}

std::string restart_record(double wall_time, std::int64_t step) {
  std::string log, data = event(wall_time, step);
  put_number(log, kStatus, kStart);
  put_text(data, kSessionLog, log);
  return record(data);
}

std::string scalars_record(double wall_time, std::int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary, data = event(wall_time, step);
  for (const Scalar& scalar : scalars) {
    std::string value;
    put_text(value, kTag, scalar.tag);
    put_key(value, kSimpleValue, kFixed32);
    put_fixed(value, std::bit_cast<std::uint32_t>(static_cast<float>(scalar.value)));
    put_text(summary, kValue, value);
  }
  put_text(data, kSummary, summary);
  return record(data);
}

std::size_t bytes_before_step(std::string_view file, std::int64_t step) {
  std::size_t kept = 0;
  while (const auto data = first_record(file.substr(kept))) {
    const auto seen = look_at(*data);
    if (!seen || (!seen->is_head && seen->step >= step)) break;
    kept += kHeaderBytes + data->size() + kCrcBytes;
  }
  return kept;
}

}  // namespace plumbline
