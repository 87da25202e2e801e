#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "common/config/run_config.hpp"
#include "common/record/checkpoint_manifest.hpp"
#include "common/record/metrics.hpp"
#include "common/record/run_layout.hpp"
#include "coordinator/inspect/describe.hpp"
#include "coordinator/journal/journal.hpp"

namespace plumbline {

namespace {

namespace fs = std::filesystem;

/// The step in "step-00000100" with `ending` after it, as RunLayout names checkpoints and snapshots.
std::optional<std::int64_t> step_in(std::string_view name, std::string_view ending) {
  constexpr std::string_view kBegin = "step-";
  if (!name.starts_with(kBegin) || !name.ends_with(ending) || name.size() <= kBegin.size() + ending.size())
    return std::nullopt;
  const std::string_view digits = name.substr(kBegin.size(), name.size() - kBegin.size() - ending.size());
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (error != std::errc() || end != digits.data() + digits.size() || step < 0) return std::nullopt;
  return step;
}

/// Steps of the entries of `folder` that are named so, ascending; none when there is no such folder.
std::vector<std::int64_t> steps_in(const fs::path& folder, std::string_view ending) {
  std::vector<std::int64_t> steps;
  std::error_code ec;
  for (fs::directory_iterator entry(folder, ec), end; !ec && entry != end; entry.increment(ec))
    if (const auto step = step_in(entry->path().filename().string(), ending)) steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

/// A checkpoint's manifest is read, its files are not: inspecting the checkpoint itself verifies those.
Json describe_checkpoints(const RunLayout& layout) {
  Json checkpoints = Json::array();
  for (const std::int64_t step : steps_in(layout.checkpoints(), "")) {
    Json entry{{"step", step}, {"path", layout.checkpoint(Step(step)).string()}};
    if (const auto manifest = read_manifest(layout.checkpoint(Step(step))); manifest.has_value())
      entry["weights_sha256"] = manifest->weights_sha256();
    checkpoints.push_back(std::move(entry));
  }
  return checkpoints;
}

/// The newest line of each kind.
Json newest_metrics(const std::vector<Json>& lines) {
  Json newest = Json::object();
  for (const Json& line : lines)
    if (line.contains("kind") && line["kind"].is_string()) newest[line["kind"].get<std::string>()] = line;
  return newest;
}

std::int64_t newest_step(const Json& metrics, const RunRecord& record) {
  std::int64_t step = record.checkpoint.has_value() ? record.checkpoint->step.value() : 0;
  if (metrics.contains("train"))
    if (const auto trained = json_get<std::int64_t>(metrics["train"], "step", ""); trained.has_value())
      step = std::max(step, *trained);
  return step;
}

}  // namespace

Result<Json> describe_run(const fs::path& folder) {
  const RunLayout layout(folder);
  PLUMBLINE_ASSIGN(const RunConfig config, load_run_config(layout.config(), {}));
  PLUMBLINE_ASSIGN(const auto entries, read_journal(layout.journal()));
  const RunRecord record = replay(entries);
  std::error_code ec;
  Json metrics = Json::object();
  if (fs::exists(layout.metrics(), ec)) {
    PLUMBLINE_ASSIGN(const auto lines, read_metrics(layout.metrics()));
    metrics = newest_metrics(lines);
  }
  Json json{{"kind", "run"},
            {"path", folder.string()},
            {"name", config.name},
            {"state", record.outcome.empty() ? "open" : record.outcome},
            {"generation", record.generation.value()},
            {"fingerprint", record.fingerprint},
            {"step", newest_step(metrics, record)},
            {"steps", config.train.steps},
            {"config", to_json(config)},
            {"events", entries.size()},
            {"checkpoints", describe_checkpoints(layout)},
            {"snapshots", Json::array()},
            {"metrics", metrics}};
  if (!entries.empty()) json["last_event"] = {{"event", entries.back().event}, {"time", entries.back().time}};
  if (record.checkpoint.has_value())
    json["committed"] = {{"step", record.checkpoint->step.value()},
                         {"weights_sha256", record.checkpoint->weights_sha256}};
  for (const std::int64_t step : steps_in(layout.snapshots(), ".h5"))
    json["snapshots"].push_back({{"step", step}, {"path", layout.snapshot(Step(step)).string()}});
  if (fs::exists(layout.report(), ec)) json["report"] = layout.report().string();
  return Result<Json>(boost::system::in_place_value, std::move(json));
}

}  // namespace plumbline
