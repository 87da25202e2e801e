// UTF-8, read one code point at a time. Pure functions on any bytes; a broken sequence is reported, never an error.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace plumbline {

struct Utf8Step {
  char32_t code_point;  ///< U+FFFD when not valid
  std::size_t bytes;    ///< at least 1; of a broken sequence its maximal subpart (Unicode 15, section 3.9)
  bool valid;
};

/// The first code point of `text`, which must not be empty.
inline Utf8Step next_code_point(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  // Table 3-7: the lead byte fixes the length and the range of the second byte.
  std::size_t length = 0;
  unsigned char low = 0x80, high = 0xBF;
  char32_t value = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2, value = lead & 0x1Fu;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3, value = lead & 0x0Fu;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;  // no surrogates
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4, value = lead & 0x07u;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;  // at most U+10FFFF
  } else {
    return {U'\uFFFD', 1, false};
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size() || byte(i) < low || byte(i) > high) return {U'\uFFFD', i, false};
    value = (value << 6) | (byte(i) & 0x3Fu);
    low = 0x80, high = 0xBF;
  }
  return {value, length, true};
}

/// Where the first broken sequence starts; text.size() when there is none.
inline std::size_t first_invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = next_code_point(text.substr(at));
    if (!step.valid) return at;
    at += step.bytes;
  }
  return at;
}
inline bool is_utf8(std::string_view text) { return first_invalid_utf8(text) == text.size(); }

/// Code points; a broken sequence counts as one for each maximal subpart.
inline std::u32string code_points(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = next_code_point(text);
    points.push_back(step.code_point);
    text.remove_prefix(step.bytes);
  }
  return points;
}

/// `text` with U+FFFD in place of every maximal subpart of a broken sequence.
inline std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = next_code_point(text);
    out += step.valid ? text.substr(0, step.bytes) : std::string_view("\xEF\xBF\xBD");
    text.remove_prefix(step.bytes);
  }
  return out;
}

}  // namespace plumbline
