// Functions of log-probs that neither overflow nor lose their digits. Room-internal.
#pragma once
#include <algorithm>
#include <cmath>
#include <numbers>

namespace plumbline {

inline double log_sigmoid(double x) { return x > 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x)); }
inline double sigmoid(double x) { return x > 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

/// Log-probs above this are taken for it where 1 - p is needed: half the distance from 1 to the float below it, which a
/// model that computes in fp32 cannot tell from certainty.
inline constexpr double kLargestLogProb = -0x1p-25;

/// log(1 - exp(log_prob)) (Mächler 2012, "Accurately computing log(1 - exp(-|a|))", equation 7). Finite for every
/// finite log-prob.
inline double log1mexp(double log_prob) {
  const double x = std::min(log_prob, kLargestLogProb);
  return x > -std::numbers::ln2 ? std::log(-std::expm1(x)) : std::log1p(-std::exp(x));
}
/// p / (1 - p): minus the slope of log1mexp.
inline double odds(double log_prob) { return 1 / std::expm1(-std::min(log_prob, kLargestLogProb)); }

}  // namespace plumbline
