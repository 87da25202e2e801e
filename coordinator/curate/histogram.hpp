// Lengths as a histogram of text, for the data card.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace plumbline {

/// At most twelve bins of a round width, one line each: "  20 –   29  ██████ 1234". Empty for no lengths.
std::string text_histogram(const std::vector<std::int32_t>& lengths);

/// "median 34, 95% at most 51, longest 62".
std::string length_summary(std::vector<std::int32_t> lengths);

}  // namespace plumbline
