// Percentile bootstrap (Efron 1979) of a mean: the 95% intervals of summary.json and the report. Pure and
// deterministic: the same values give the same interval on every machine.
#pragma once
#include <cstdint>
#include <span>

#include "common/core/json.hpp"

namespace plumbline {

struct Interval {
  double low = 0, high = 0;
};
Json to_json(Interval interval);  ///< [low, high]

/// A small generator with the same numbers everywhere (SplitMix64, Steele et al. 2014).
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()();
  /// Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound);

 private:
  std::uint64_t state_;
};

inline constexpr int kResamples = 1000;

/// The arithmetic mean; 0 for no values.
double mean(std::span<const double> values);
/// 2.5% and 97.5% points of the means of `kResamples` resamples with replacement. For a paired difference pass the
/// differences: as many values always draw the same places, so a difference's interval is of the same resampled rows as
/// the intervals of its two sides. No values: {0, 0}.
Interval bootstrap_mean(std::span<const double> values, std::uint64_t seed = 1);

}  // namespace plumbline
