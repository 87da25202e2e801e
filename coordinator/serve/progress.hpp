// The newest numbers of a run, taken from the lines of metrics.jsonl as they come. Never throws on a malformed line.
#pragma once
#include <cstdint>

#include "common/core/json.hpp"

namespace plumbline {

class Progress {
 public:
  void add(const Json& line);
  /// {"step", "epoch", "loss", "norms", "heldout", "tokens_per_second", "eta_seconds"}: null where nothing is known.
  [[nodiscard]] Json describe(std::int64_t steps) const;
  [[nodiscard]] std::int64_t step() const { return step_; }

 private:
  Json train_ = Json::object(), held_out_ = Json::object();
  std::int64_t step_ = 0;
  double tokens_per_second_ = 0, step_seconds_ = 0;  ///< smoothed; 0: nothing is known
};

}  // namespace plumbline
