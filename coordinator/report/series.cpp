#include "coordinator/report/series.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

namespace plumbline {
namespace {

struct Point {
  double step, value;
};
using Series = std::map<std::string, std::vector<Point>>;

void add(Series& series, const std::string& key, double step, const Json& value) {
  if (value.is_number()) series[key].push_back({step, value.get<double>()});
}

Json thinned(const std::vector<Point>& points) {
  const std::size_t group = (points.size() + kMostPoints - 1) / kMostPoints;
  Json out = Json::array();
  for (std::size_t i = 0; i < points.size(); i += group) {
    const std::size_t end = std::min(i + group, points.size());
    double sum = 0;
    for (std::size_t j = i; j < end; ++j) sum += points[j].value;
    out.push_back(Json::array({points[end - 1].step, sum / static_cast<double>(end - i)}));
  }
  return out;
}

Json thinned(const Series& series) {
  Json out = Json::object();
  for (const auto& [key, points] : series) out[key] = thinned(points);
  return out;
}

double number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

}  // namespace

Json training_series(const std::vector<Json>& metrics) {
  Series run;
  std::map<std::string, Series> train, held_out;
  std::map<std::string, double> phases;
  double newest = 0, seconds = 0, source_tokens = 0, output_tokens = 0;
  std::size_t lines = 0;
  std::string first_time, last_time;
  for (const Json& line : metrics) {
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number()) continue;
    const double step = line["step"].get<double>();
    const bool is_train = line.contains("kind") && line["kind"] == "train";
    auto& norms = is_train ? train : held_out;
    if (line.contains("norms") && line["norms"].is_object())
      for (const auto& [name, values] : line["norms"].items())
        if (values.is_object())
          for (const auto& [key, value] : values.items()) add(norms[name], key, step, value);
    if (line.contains("time") && line["time"].is_string()) {
      last_time = line["time"].get<std::string>();
      if (first_time.empty()) first_time = last_time;
    }
    if (!is_train) continue;
    ++lines;
    newest = std::max(newest, step);
    for (const char* key : {"tokens_per_second", "loss", "learning_rate", "grad_norm"})
      if (line.contains(key)) add(run, key, step, line[key]);
    seconds += number(line, "seconds");
    source_tokens += number(line, "source_tokens");
    output_tokens += number(line, "output_tokens");
    if (line.contains("phase_seconds") && line["phase_seconds"].is_object())
      for (const auto& [name, value] : line["phase_seconds"].items())
        if (value.is_number()) phases[name] += value.get<double>();
  }
  double in_phases = 0;
  for (const auto& [name, value] : phases)
    if (name != "checkpoint") in_phases += value;  // That one is between two steps.
  if (seconds - in_phases > 0.005 * seconds && in_phases > 0) phases["other"] = seconds - in_phases;
  Json out = {{"steps", newest},
              {"lines", lines},
              {"run", thinned(run)},
              {"phases", phases},
              {"seconds", seconds},
              {"source_tokens", source_tokens},
              {"output_tokens", output_tokens},
              {"first_time", first_time},
              {"last_time", last_time},
              {"train", Json::object()},
              {"heldout", Json::object()}};
  out["lines_per_point"] = std::max<std::size_t>(1, (lines + kMostPoints - 1) / kMostPoints);
  for (const auto& [name, series] : train) out["train"][name] = thinned(series);
  for (const auto& [name, series] : held_out) out["heldout"][name] = thinned(series);
  return out;
}

}  // namespace plumbline
