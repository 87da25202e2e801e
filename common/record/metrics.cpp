#include "common/record/metrics.hpp"

#include "common/core/files.hpp"
#include "common/record/json_lines.hpp"

namespace plumbline {

namespace {

struct Measured {
  bool is_train = false;
  std::int64_t step = 0;
  Json line;
};

/// Whether `later` voids `earlier`, which stands before it in the file. Steps only go back when a run was taken up
/// again from a checkpoint. A training step is taken once on the way, so its own and all later steps are void. A
/// held-out measurement at step s may be the first after a restart from s, whose training step still counts.
bool voids(const Measured& later, const Measured& earlier) {
  if (!later.is_train && earlier.is_train) return earlier.step > later.step;
  return earlier.step >= later.step;
}

}  // namespace

Result<std::vector<Json>> read_metrics(const std::filesystem::path& file) {
  PLUMBLINE_ASSIGN(const std::string text, read_file(file));
  return parse_metrics(text, file.string());
}

Result<std::vector<Json>> parse_metrics(std::string_view text, const std::string& name) {
  std::vector<Measured> kept;
  PLUMBLINE_TRY(for_each_json_line(text, name, LastLine::kMayBeCut, [&](Json line, const std::string& where) -> Status {
    Measured measured;
    PLUMBLINE_ASSIGN(const auto kind, json_get<std::string>(line, "kind", where));
    PLUMBLINE_ASSIGN(measured.step, json_get<std::int64_t>(line, "step", where));
    measured.is_train = kind == "train";
    measured.line = std::move(line);
    // What is kept is in the order of steps, so all that is void stands at its end.
    while (!kept.empty() && voids(measured, kept.back())) kept.pop_back();
    kept.push_back(std::move(measured));
    return {};
  }));
  std::vector<Json> lines;
  lines.reserve(kept.size());
  for (Measured& measured : kept) lines.push_back(std::move(measured.line));
  return lines;
}

std::optional<MeasuredRate> measured_rate(const Json& line) {
  if (!line.is_object() || line.value("kind", Json()) != "heldout") return std::nullopt;
  const auto step = line.find("step"), norms = line.find("norms");
  if (step == line.end() || !step->is_number_integer() || norms == line.end() || !norms->is_object())
    return std::nullopt;
  double sum = 0;
  int measured = 0;
  for (const auto& [name, numbers] : norms->items()) {
    const Json rate = numbers.is_object() ? numbers.value("undesirable_rate", Json()) : Json();
    if (!rate.is_number()) continue;
    sum += rate.get<double>();
    ++measured;
  }
  if (measured == 0 || !(sum >= 0 && sum <= measured)) return std::nullopt;
  return MeasuredRate{step->get<std::int64_t>(), sum / measured};
}

Status append_metrics(const std::filesystem::path& file, const Json& line) { return append_line(file, to_line(line)); }

}  // namespace plumbline
