#include "common/data/example.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/core/check.hpp"
#include "common/core/files.hpp"

namespace plumbline {

namespace {

/// The number as eight bytes, most significant first.
std::string big_endian(std::uint64_t value) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[static_cast<std::size_t>(i)] = static_cast<char>(value >> (8 * (7 - i)));
  return bytes;
}

}  // namespace

std::string to_string(ExampleId id) { return to_hex(big_endian(id.high) + big_endian(id.low)); }

bool plain_attribute_name(const std::string& name) {
  constexpr std::size_t kMost = 200;
  return !name.empty() && name.size() <= kMost && name != "." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

void finish(Example& example, bool has_desired, bool has_undesired) {
  PLUMBLINE_CHECK(has_desired || has_undesired, "an example has a desired or an undesired output");
  example.kind = !has_undesired ? ExampleKind::kDemonstration
                 : has_desired  ? ExampleKind::kPreference
                                : ExampleKind::kProhibition;
  if (!has_desired) example.desired.clear();
  if (!has_undesired) example.undesired.clear();
  // Every text carries its length, so that no two examples give the same bytes ("ab" + "c" is not "a" + "bc").
  std::string bytes(1, static_cast<char>(example.kind));
  for (const std::string* text : {&example.norm, &example.source, &example.desired, &example.undesired})
    bytes += big_endian(text->size()) + *text;
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  example.id = {hash.high64, hash.low64};
}

}  // namespace plumbline
