// An example: a source with a desired and/or an undesired output, under a norm.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>

namespace plumbline {

enum class ExampleKind : std::uint8_t { kDemonstration = 0, kPreference = 1, kProhibition = 2 };

struct ExampleId {
  std::uint64_t high = 0, low = 0;  ///< XXH3-128 of norm, source, desired and undesired text
  friend auto operator<=>(const ExampleId&, const ExampleId&) = default;
};
std::string to_string(ExampleId id);  ///< 32 lower-case hex digits

/// An example as people write it. UTF-8 throughout.
struct Example {
  ExampleId id;
  std::string norm;
  ExampleKind kind = ExampleKind::kDemonstration;
  float weight = 1;
  std::string source, desired, undesired;   ///< an absent side is empty and `kind` says so
  std::map<std::string, float> attributes;  ///< numbers known about the example: root_length, divergence
};

/// Whether a shard takes an attribute of this name: not empty, at most 200 bytes, no slash or NUL, not ".".
bool plain_attribute_name(const std::string& name);

/// Sets kind from which sides are present and id from the content.
void finish(Example& example, bool has_desired, bool has_undesired);

}  // namespace plumbline
