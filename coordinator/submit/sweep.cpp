#include "coordinator/submit/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace plumbline {
namespace {

constexpr std::size_t kMostNameBytes = 100;

struct Axis {
  std::string key;
  std::vector<std::string> values;
};

/// Parts at commas that no bracket or brace encloses.
std::vector<std::string> values_in(const std::string& text) {
  std::vector<std::string> values(1);
  int depth = 0;
  for (const char c : text) {
    depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
    if (c == ',' && depth <= 0)
      values.emplace_back();
    else
      values.back() += c;
  }
  return values;
}

Result<Axis> axis_of(const std::string& item) {
  const auto equals = item.find('=');
  if (equals == std::string::npos || equals == 0)
    return usage_error("--sweep " + item + " has no values", "",
                       "Write it as --sweep key=a,b,c, for example --sweep optimizer.learning_rate=0.001,0.0003.");
  Axis axis{item.substr(0, equals), values_in(item.substr(equals + 1))};
  for (const std::string& value : axis.values)
    if (value.empty()) return usage_error("--sweep " + item + " has an empty value");
  auto sorted = axis.values;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
    return usage_error("--sweep " + axis.key + " has the value " + *twice + " twice");
  return axis;
}

/// "learning_rate=0.001": what a person looks for, in characters that need no quotes.
std::string label_of(const Override& override_) {
  std::string label = override_.key.substr(override_.key.rfind('.') + 1) + "=" + override_.value;
  std::replace_if(
      label.begin(), label.end(),
      [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_' && c != '.' && c != '='; }, '_');
  return label;
}

}  // namespace

Result<std::vector<SweepRun>> expand_sweep(const std::vector<std::string>& items) {
  std::vector<SweepRun> runs(1);
  for (const std::string& item : items) {
    PLUMBLINE_ASSIGN(const Axis axis, axis_of(item));
    std::vector<SweepRun> longer;
    if (runs.size() * axis.values.size() > kMostSweepRuns)
      return usage_error(fmt::format("the sweep has more than {} runs", kMostSweepRuns), "--sweep");
    for (const SweepRun& run : runs)
      for (const std::string& value : axis.values) {
        SweepRun next = run;
        for (const Override& before : run.overrides)
          if (before.key == axis.key) return usage_error("--sweep " + axis.key + " is given twice");
        next.overrides.push_back({axis.key, value});
        longer.push_back(std::move(next));
      }
    runs = std::move(longer);
  }
  const std::size_t digits = std::to_string(runs.size() - 1).size();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    runs[i].name = fmt::format("{:0{}}", i, digits);
    for (const Override& one : runs[i].overrides) runs[i].name += "-" + label_of(one);
    runs[i].name.resize(std::min(runs[i].name.size(), kMostNameBytes));
  }
  return runs;
}

}  // namespace plumbline
