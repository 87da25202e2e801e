#include "coordinator/schedule/make_up.hpp"

#include <algorithm>

namespace plumbline {

namespace {
constexpr int kMostDoublings = 30;
}

std::optional<std::int64_t> make_up_step(const MakeUp& from) {
  if (from.every <= 0 || from.start % from.every == 0) return std::nullopt;
  const std::int64_t newest_due = from.start - from.start % from.every;
  if (newest_due <= from.committed) return std::nullopt;
  const std::int64_t step = from.start + (std::int64_t{1} << std::min(from.given_up, kMostDoublings));
  if (step >= newest_due + from.every) return std::nullopt;
  return step;
}

}  // namespace plumbline
