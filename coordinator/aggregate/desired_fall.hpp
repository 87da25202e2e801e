// Does training make the desired outputs less likely? Comparing pairs can do that while its loss falls and its margins
// grow: the undesired output falls faster (Pal et al. 2024, "Smaug: Fixing Failure Modes of Preference Optimisation
// with DPO-Positive"). So the mean log-prob of the desired outputs on held-out rows, the same rows in every evaluation,
// is watched. Pure; never throws on a malformed line.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/core/json.hpp"

namespace plumbline {

struct DesiredFall {
  std::string norm;
  std::int64_t first_step = 0, step = 0;
  double first = 0, now = 0;  ///< mean log-prob of the desired outputs
  bool per_token = false;     ///< a token (−nll_loss), where the norm's metrics have none of whole outputs
};

/// "On held-out examples of “polite”, training makes …", a warning for people.
std::string to_string(const DesiredFall& fall);

class DesiredWatch {
 public:
  /// A line of metrics.jsonl. Returns the norms that this line shows to have fallen and no earlier line did.
  std::vector<DesiredFall> add(const Json& line);
  /// The norms whose newest value lies below their first.
  [[nodiscard]] std::vector<DesiredFall> falls() const;

 private:
  struct Seen {
    DesiredFall values;
    bool told = false;
  };
  std::map<std::string, Seen> norms_;
};

/// A fall counts from this share of the first value's magnitude on (and this many nats).
inline constexpr double kLeastFall = 0.01;

}  // namespace plumbline
