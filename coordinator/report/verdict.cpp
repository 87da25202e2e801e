#include "coordinator/report/verdict.hpp"

#include <fmt/format.h>

#include <cmath>
#include <vector>

namespace plumbline {
namespace {

/// "12.5%"; whole numbers without a fraction.
std::string percent(double share) {
  const double tenths = std::round(share * 1000);
  return std::fmod(tenths, 10) == 0 ? fmt::format("{:.0f}%", tenths / 10) : fmt::format("{:.1f}%", tenths / 10);
}

/// A difference in percentage points with a true minus sign.
std::string points(double share) {
  const double value = std::round(share * 1000) / 10;
  return fmt::format("{}{:.1f}", value < 0 ? "−" : value > 0 ? "+" : "", std::abs(value));
}

std::string signed_score(double value) {
  const double rounded = std::round(value * 1000) / 1000;
  return fmt::format("{}{:.3f}", rounded < 0 ? "−" : rounded > 0 ? "+" : "", std::abs(rounded));
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i)
    out += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return out;
}

/// A description as the end of a sentence: without a full stop of its own.
std::string unstopped(std::string text) {
  while (!text.empty() && (text.back() == '.' || text.back() == ' ' || text.back() == '\n')) text.pop_back();
  return text;
}

std::string taught_sentence(const std::string& name, const Json& norm) {
  const std::string description = unstopped(norm.value("description", ""));
  if (description.empty()) return fmt::format("This run taught the norm “{}” by examples.", name);
  return fmt::format("This run taught the norm “{}” by examples: {}.", name, description);
}

std::string rate_sentence(const Json& norm) {
  const double before = norm.at("base").at("undesirable_rate"), after = norm.at("aligned").at("undesirable_rate");
  const int examples = norm.at("aligned").at("examples").get<int>();
  const Json& interval = norm.at("difference").at("ci");
  const std::string range = fmt::format("{} to {} points", points(interval.at(0)), points(interval.at(1)));
  const Change change = change_of(interval);
  if (change == Change::kLower || change == Change::kHigher)
    return fmt::format(
        " On {} held-out examples training {} the share of undesirable outputs from {} to {} (95% interval of the "
        "change {}).",
        examples, change == Change::kLower ? "lowered" : "raised", percent(before), percent(after), range);
  const std::string course = percent(before) == percent(after)
                                 ? fmt::format("stayed at {}", percent(after))
                                 : fmt::format("went from {} to {}", percent(before), percent(after));
  return fmt::format(
      " On {} held-out examples the share of undesirable outputs {}; the 95% interval of the change ({}) includes "
      "zero, so "
      "this run does not show that training changed it.",
      examples, course, range);
}

std::string score_sentence(const Json& norm) {
  const Json& difference = norm.at("difference");
  if (!difference.contains("desired_score_ci")) return "";
  const Json& interval = difference.at("desired_score_ci");
  const double before = norm.at("base").at("desired_score"), after = norm.at("aligned").at("desired_score");
  const std::string range =
      fmt::format("95% interval of the change {} to {}", signed_score(interval.at(0)), signed_score(interval.at(1)));
  const std::string numbers = fmt::format("from {:.2f} to {:.2f} ({})", before, after, range);
  switch (change_of(interval)) {
    case Change::kHigher:
      return " It cost no score: the desired score rose " + numbers + ".";
    case Change::kLower:
      return " It cost score: the desired score fell " + numbers + ".";
    default:
      if (fmt::format("{:.2f}", before) == fmt::format("{:.2f}", after))
        return fmt::format(" The desired score stayed at {:.2f} ({}).", after, range);
      return " No clear cost in score: the desired score went " + numbers + ", which includes zero.";
  }
}

std::string rules_sentence(const Json& norm) {
  const Json& rules = norm.at("rules");
  if (!rules.contains("undesirable_rate")) return "";
  std::string out =
      fmt::format(" The rule alone, without training, leaves {} undesirable", percent(rules.at("undesirable_rate")));
  if (rules.contains("desired_score"))
    out += fmt::format(", at a score of {:.2f}", rules.at("desired_score").get<double>());
  return out + ".";
}

}  // namespace

Change change_of(const Json& interval) {
  if (!interval.is_array() || interval.size() != 2 || !interval[0].is_number() || !interval[1].is_number())
    return Change::kUnknown;
  if (interval[1].get<double>() < 0) return Change::kLower;
  if (interval[0].get<double>() > 0) return Change::kHigher;
  return Change::kUnclear;
}

std::string norm_verdict(const std::string& name, const Json& norm) {
  if (!norm.contains("difference"))
    return fmt::format("No held-out output of the norm “{}” was judged, so nothing can be said of it.", name);
  return taught_sentence(name, norm) + rate_sentence(norm) + score_sentence(norm) + rules_sentence(norm);
}

std::string run_verdict(const Json& summary) {
  const Json& norms = summary.at("norms");
  if (norms.size() == 1) return norm_verdict(norms.begin().key(), norms.begin().value());
  std::vector<std::string> lower, higher, unclear, unknown;
  for (const auto& [name, norm] : norms.items()) {
    const Change change = norm.contains("difference") ? change_of(norm.at("difference").at("ci")) : Change::kUnknown;
    auto& list = change == Change::kLower     ? lower
                 : change == Change::kHigher  ? higher
                 : change == Change::kUnclear ? unclear
                                              : unknown;
    list.push_back("“" + name + "”");
  }
  std::vector<std::string> parts;
  if (!lower.empty()) parts.push_back("lowered the share of undesirable outputs on " + joined(lower));
  if (!higher.empty()) parts.push_back("raised it on " + joined(higher));
  if (!unclear.empty())
    parts.push_back("shows no clear change on " + joined(unclear) + " (the 95% interval of the change includes zero)");
  if (!unknown.empty()) parts.push_back("was not judged on " + joined(unknown));
  if (parts.empty()) return "The dataset has no norms, so nothing was judged.";
  if (lower.empty() && !higher.empty()) parts[0] = "raised the share of undesirable outputs on " + joined(higher);
  return fmt::format("Of {} norms, judged on held-out examples, training {}.", norms.size(), joined(parts));
}

}  // namespace plumbline
