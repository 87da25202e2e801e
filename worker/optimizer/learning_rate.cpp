// Linear warm-up to config.learning_rate over warmup_steps, then
//   constant      rate
//   linear        rate * (1 - (1 - f) p)                   p = (step - warmup) / (total - warmup), in [0,1]
//   cosine        rate * (f + (1 - f) (1 + cos(pi p)) / 2)  (Loshchilov & Hutter 2017), f = final_fraction
//   inverse_sqrt  rate * sqrt(w / max(step, w)),            w = max(1, warmup)  (Raffel et al. 2020, section 3.1.2)
#include <algorithm>
#include <cmath>
#include <numbers>

#include "worker/optimizer/optimizer.hpp"

namespace plumbline {

double learning_rate(const OptimizerConfig& config, std::int64_t step, std::int64_t total) {
  const std::int64_t warmup = std::max<std::int64_t>(0, config.warmup_steps);
  if (step < warmup)
    return config.learning_rate * static_cast<double>(std::max<std::int64_t>(step, 0)) / static_cast<double>(warmup);
  const double f = config.final_fraction;
  const double p = std::clamp(
      static_cast<double>(step - warmup) / static_cast<double>(std::max<std::int64_t>(1, total - warmup)), 0.0, 1.0);
  if (config.schedule == "linear") return config.learning_rate * (1 - (1 - f) * p);
  if (config.schedule == "cosine")
    return config.learning_rate * (f + (1 - f) * (1 + std::cos(std::numbers::pi * p)) / 2);
  if (config.schedule == "inverse_sqrt") {
    const double w = static_cast<double>(std::max<std::int64_t>(1, warmup));
    return config.learning_rate * std::sqrt(w / std::max(static_cast<double>(step), w));
  }
  return config.learning_rate;
}

}  // namespace plumbline
