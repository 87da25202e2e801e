#include "coordinator/aggregate/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace plumbline {
namespace {

/// Linear interpolation between the order statistics of `sorted`, as numpy's default.
double quantile(const std::vector<double>& sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double fraction = place - static_cast<double>(below);
  return sorted[below] + fraction * (sorted[above] - sorted[below]);
}

}  // namespace

Json to_json(Interval interval) { return Json::array({interval.low, interval.high}); }

std::uint64_t SplitMix::operator()() {
  std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

std::uint64_t SplitMix::below(std::uint64_t bound) {
  // The high half of a 64 × 64 bit product; the bias is below bound / 2^64.
  const std::uint64_t r = (*this)();
  const std::uint64_t low = (r & 0xffffffffull) * (bound & 0xffffffffull);
  const std::uint64_t middle_a = (r >> 32) * (bound & 0xffffffffull) + (low >> 32);
  const std::uint64_t middle_b = (r & 0xffffffffull) * (bound >> 32) + (middle_a & 0xffffffffull);
  return (r >> 32) * (bound >> 32) + (middle_a >> 32) + (middle_b >> 32);
}

double mean(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Interval bootstrap_mean(std::span<const double> values, std::uint64_t seed) {
  if (values.empty()) return {};
  SplitMix random(seed);
  std::vector<double> means(kResamples);
  for (double& m : means) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[random.below(values.size())];
    m = sum / static_cast<double>(values.size());
  }
  std::sort(means.begin(), means.end());
  return {quantile(means, 0.025), quantile(means, 0.975)};
}

}  // namespace plumbline
