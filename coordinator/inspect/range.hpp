// Least, mean and greatest of numbers of which some may be unknown (NaN).
#pragma once
#include <cstdint>

#include "common/core/json.hpp"

namespace plumbline {

class Range {
 public:
  void add(double value);
  /// {"known": n, "min": …, "mean": …, "max": …}; only "known" when that is 0.
  [[nodiscard]] Json to_json() const;

 private:
  std::int64_t known_ = 0;
  double min_ = 0, max_ = 0, sum_ = 0;
};

}  // namespace plumbline
