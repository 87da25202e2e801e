// Which tokens of a pair differ. Desired and undesired outputs often share most of their tokens; those in which they
// differ lie between what they share at the beginning and at the end:
//
//   common prefix  the longest run of equal tokens from the beginning of both
//   common suffix  the longest run of equal tokens from the end of both that overlaps neither the prefix nor the token
//                  after it, on either side
//   differing      what lies between, on each side
//
// The token at which the outputs part is on both sides of the comparison, even where one output only has tokens more
// (A B EOS and A B C EOS differ in EOS and in C EOS): a model chooses between exactly these two. It may be the only one
// on a side. Where one output is a beginning of the other (an output that was cut has no EOS) the shorter side has
// none, and equal outputs have none. Pure.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace plumbline {

/// Token positions [begin, end) of an output.
struct TokenSpan {
  std::int64_t begin = 0, end = 0;
  [[nodiscard]] std::int64_t size() const { return end - begin; }
  friend bool operator==(const TokenSpan&, const TokenSpan&) = default;
};
struct DifferingSpans {
  TokenSpan desired, undesired;
};

inline DifferingSpans differing_spans(std::span<const std::int64_t> desired, std::span<const std::int64_t> undesired) {
  const std::size_t shorter = std::min(desired.size(), undesired.size());
  std::size_t prefix = 0;
  while (prefix < shorter && desired[prefix] == undesired[prefix]) ++prefix;
  std::size_t suffix = 0;
  while (prefix + suffix + 1 < shorter &&
         desired[desired.size() - 1 - suffix] == undesired[undesired.size() - 1 - suffix])
    ++suffix;
  const auto span_of = [&](std::size_t size) {
    return TokenSpan{static_cast<std::int64_t>(prefix), static_cast<std::int64_t>(size - suffix)};
  };
  return {span_of(desired.size()), span_of(undesired.size())};
}

}  // namespace plumbline
