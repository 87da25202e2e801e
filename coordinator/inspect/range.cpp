#include "coordinator/inspect/range.hpp"

#include <algorithm>
#include <cmath>

namespace plumbline {

void Range::add(double value) {
  if (std::isnan(value)) return;
  min_ = known_ == 0 ? value : std::min(min_, value);
  max_ = known_ == 0 ? value : std::max(max_, value);
  sum_ += value;
  ++known_;
}

Json Range::to_json() const {
  Json json{{"known", known_}};
  if (known_ == 0) return json;
  json["min"] = min_;
  json["mean"] = sum_ / static_cast<double>(known_);
  json["max"] = max_;
  return json;
}

}  // namespace plumbline
