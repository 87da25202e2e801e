#include "coordinator/serve/status.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/data/plan.hpp"
#include "common/record/metrics.hpp"
#include "coordinator/journal/journal.hpp"
#include "coordinator/membership/decide.hpp"

namespace plumbline {
namespace {

Json checkpoint_json(const std::optional<CommittedCheckpoint>& checkpoint) {
  if (!checkpoint) return {};
  return {{"step", checkpoint->step.value()}, {"weights_sha256", checkpoint->weights_sha256}};
}

/// Of the ranks that are timed; 0: none is.
double median_lane_seconds(const RunState& state) {
  std::vector<double> seconds;
  for (const auto& [rank, member] : state.members)
    if (member.lane_seconds > 0) seconds.push_back(member.lane_seconds);
  if (seconds.empty()) return 0;
  const auto middle = seconds.begin() + std::ssize(seconds) / 2;
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

/// A rank that takes so many times the others' time is shown as slow.
constexpr double kSlow = 1.5;

Json workers_json(const RunState& state, int num_lanes, SteadyTime now) {
  Json workers = Json::array();
  const double median = median_lane_seconds(state);
  const LaneShares shares = state.shares.empty() ? even_shares(state.world, num_lanes) : state.shares;
  LaneRange lanes;
  int next = 0;
  for (const auto& [rank, member] : state.members) {
    for (; next <= rank && next < std::ssize(shares); ++next)
      lanes = {lanes.end, lanes.end + shares[static_cast<std::size_t>(next)]};
    if (!member.connected) continue;
    workers.push_back({{"rank", rank},
                       {"worker", member.number},
                       {"host", member.host},
                       {"pid", member.pid},
                       {"phase", member.phase},
                       {"step", member.step},
                       {"lanes", {lanes.begin, lanes.end}},
                       {"lane_seconds", member.lane_seconds > 0 ? Json(member.lane_seconds) : Json()},
                       {"slow", member.lane_seconds > kSlow * median},
                       {"waits_in", member.beat.waits_in},
                       {"seconds_since_heartbeat", std::chrono::duration<double>(now - member.last_heard).count()}});
  }
  return workers;
}

std::string recorded_state(const RunLayout& layout, const RunRecord& record, const std::vector<JournalEntry>& entries) {
  if (!record.outcome.empty()) return record.outcome;
  if (is_held(layout)) return "running";
  const bool served =
      std::any_of(entries.begin(), entries.end(), [](const auto& e) { return e.event == "coordinator_started"; });
  return served ? "interrupted" : "created";
}

/// Losses after which a new generation came, in the newest start.
int recorded_restarts(const std::vector<JournalEntry>& entries) {
  int generations = 0;
  for (const JournalEntry& entry : entries) {
    if (entry.event == "coordinator_started") generations = 0;
    if (entry.event == "generation_started") ++generations;
  }
  return std::max(generations - 1, 0);
}

// --- for a person

std::string text_or(const Json& value, const char* otherwise) {
  return value.is_string() ? value.get<std::string>() : otherwise;
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

void line(std::string& text, const std::string& label, const std::string& value) {
  if (!value.empty()) text += fmt::format("{:<12} {}\n", label, value);
}

std::string norm_numbers(const Json& norm) {
  std::string text;
  for (const char* key : {"loss", "nll_loss", "rewards/margins", "rewards/accuracies"})
    if (norm.is_object() && norm.contains(key) && norm.at(key).is_number())
      text += fmt::format("{}{} {:.4f}", text.empty() ? "" : "  ", key, norm.at(key).get<double>());
  return text;
}

std::string step_text(const Json& status) {
  std::string text = fmt::format("{} of {}", status.value("step", 0), status.value("steps", 0));
  if (status.at("epoch").is_number()) text += fmt::format("  epoch {:.2f}", status.at("epoch").get<double>());
  if (status.at("loss").is_number()) text += fmt::format("  loss {:.4f}", status.at("loss").get<double>());
  return text;
}

std::string speed_text(const Json& status) {
  if (!status.at("tokens_per_second").is_number()) return {};
  std::string text = fmt::format("{:.0f} tokens/s", status.at("tokens_per_second").get<double>());
  if (status.at("eta_seconds").is_number() && !status.at("workers").empty() &&
      status.value("step", 0) < status.value("steps", 0))
    text += "  about " + duration_text(status.at("eta_seconds").get<double>()) + " of training left";
  return text;
}

std::string worker_text(const Json& worker) {
  std::string text =
      fmt::format("rank {} {} on {} (pid {}), step {}, heard {:.1f} s ago", worker.value("rank", 0),
                  text_or(worker.at("phase"), ""), text_or(worker.at("host"), "?"), worker.value("pid", 0),
                  worker.value("step", 0), worker.value("seconds_since_heartbeat", 0.0));
  const Json lanes = worker.value("lanes", Json::array()), seconds = worker.value("lane_seconds", Json());
  if (lanes.size() == 2 && seconds.is_number())
    text += fmt::format(", {} lanes of {:.0f} ms each", lanes.at(1).get<int>() - lanes.at(0).get<int>(),
                        1000 * seconds.get<double>());
  if (worker.value("slow", false)) text += ", slow";
  return text;
}

}  // namespace

Json live_status(const ServedRun& run) {
  Json status = run.progress.describe(run.config.train.steps);
  status["run"] = run.layout.root().string();
  status["name"] = run.config.name;
  status["state"] = describe_phase(run.state);
  status["generation"] = run.state.generation.value();
  status["steps"] = run.config.train.steps;
  status["workers"] = workers_json(run.state, run.config.train.lanes, run.now);
  status["last_checkpoint"] = checkpoint_json(run.state.checkpoint);
  status["restarts"] = run.state.restarts;
  status["uptime_seconds"] = std::chrono::duration<double>(run.now - run.started).count();
  return status;
}

Result<Json> recorded_status(const RunLayout& layout) {
  std::error_code ec;
  if (!std::filesystem::exists(layout.journal(), ec))
    return data_error("this directory holds no run", layout.root().string(),
                      "Start one with: plumbline train CONFIG --run " + layout.root().string());
  PLUMBLINE_ASSIGN(const auto entries, read_journal(layout.journal()));
  PLUMBLINE_ASSIGN(const RunConfig config, load_run_config(layout.config(), {}));
  Progress progress;
  if (std::filesystem::exists(layout.metrics(), ec)) {
    PLUMBLINE_ASSIGN(const auto lines, read_metrics(layout.metrics()));
    for (const Json& metrics : lines) progress.add(metrics);
  }
  const RunRecord record = replay(entries);
  Json status = progress.describe(config.train.steps);
  status["run"] = layout.root().string();
  status["name"] = config.name;
  status["state"] = recorded_state(layout, record, entries);
  status["generation"] = record.generation.value();
  status["steps"] = config.train.steps;
  status["workers"] = Json::array();
  status["last_checkpoint"] = checkpoint_json(record.checkpoint);
  status["restarts"] = recorded_restarts(entries);
  status["uptime_seconds"] = Json();
  return Result<Json>(boost::system::in_place_value, std::move(status));
}

std::string status_text(const Json& status) {
  std::string text;
  line(text, "run", fmt::format("{} ({})", text_or(status.at("run"), ""), text_or(status.at("name"), "")));
  line(text, "state", text_or(status.at("state"), "unknown"));
  line(text, "step", step_text(status));
  line(text, "speed", speed_text(status));
  for (const auto& [name, norm] : status.at("norms").items()) line(text, "norm", name + "  " + norm_numbers(norm));
  if (const Json& held_out = status.at("heldout"); held_out.is_object())
    for (const auto& [name, norm] : held_out.at("norms").items())
      line(text, "held-out", fmt::format("{}  {}  (step {})", name, norm_numbers(norm), held_out.value("step", 0)));
  const Json& checkpoint = status.at("last_checkpoint");
  line(text, "checkpoint",
       checkpoint.is_object() ? fmt::format("step {}  weights {}", checkpoint.value("step", 0),
                                            text_or(checkpoint.at("weights_sha256"), ""))
                              : "none yet");
  for (const Json& worker : status.at("workers")) line(text, "worker", worker_text(worker));
  if (const int restarts = status.value("restarts", 0); restarts > 0) line(text, "restarts", std::to_string(restarts));
  if (status.at("uptime_seconds").is_number())
    line(text, "up for", duration_text(status.at("uptime_seconds").get<double>()));
  return text;
}

}  // namespace plumbline
