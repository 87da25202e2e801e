#include "coordinator/aggregate/desired_fall.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace plumbline {
namespace {

std::optional<double> number(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  const double value = found->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

bool has_fallen(const DesiredFall& values) {
  return values.now < values.first - kLeastFall * std::max(1.0, std::abs(values.first));
}

/// With a true minus sign.
std::string nats(double value) { return fmt::format("{}{:.2f}", value < 0 ? "−" : "", std::abs(value)); }

}  // namespace

std::string to_string(const DesiredFall& fall) {
  return fmt::format(
      "On held-out examples of “{}”, training makes the desired outputs less likely: their mean log-probability{} fell "
      "from {} at step {} to {} at step {}. {}",
      fall.norm, fall.per_token ? " a token" : "", nats(fall.first), fall.first_step, nats(fall.now), fall.step,
      fall.per_token ? "A lower learning rate or fewer steps can mend that."
                     : "A larger sft_weight, a lower learning rate or fewer steps can mend that.");
}

std::vector<DesiredFall> DesiredWatch::add(const Json& line) {
  std::vector<DesiredFall> fallen;
  if (!line.is_object() || line.value("kind", Json()) != "heldout" || !line.contains("norms")) return fallen;
  const auto step = number(line, "step");
  if (!step || !line.at("norms").is_object()) return fallen;
  for (const auto& [name, values] : line.at("norms").items()) {
    if (!values.is_object()) continue;
    std::optional<double> now = number(values, "logps/chosen");
    const bool per_token = !now;
    if (per_token && (now = number(values, "nll_loss"))) now = -*now;
    if (!now) continue;
    const auto at = static_cast<std::int64_t>(*step);
    const auto [found, is_new] = norms_.try_emplace(name, Seen{{name, at, at, *now, *now, per_token}, false});
    Seen& seen = found->second;
    if (is_new || seen.values.per_token != per_token) continue;
    seen.values.step = at;
    seen.values.now = *now;
    if (seen.told || !has_fallen(seen.values)) continue;
    seen.told = true;
    fallen.push_back(seen.values);
  }
  return fallen;
}

std::vector<DesiredFall> DesiredWatch::falls() const {
  std::vector<DesiredFall> fallen;
  for (const auto& [name, seen] : norms_)
    if (has_fallen(seen.values)) fallen.push_back(seen.values);
  return fallen;
}

}  // namespace plumbline
