#include "coordinator/serve/status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_set>
#include <utility>

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

/// What a list of workers is made of beside each of them.
struct Group {
  double median = 0;        ///< of seconds a lane
  std::vector<int> begins;  ///< first lane of each rank, and behind the last
};

Group group_of(const ServedRun& run) {
  const RunState& state = run.state;
  Group group{median_lane_seconds(state), {0}};
  for (const int share : state.shares.empty() ? even_shares(state.world, run.config.train.lanes) : state.shares)
    group.begins.push_back(group.begins.back() + share);
  return group;
}

WorkerSeen seen(int rank, const Member& member, const Group& group, SteadyTime now) {
  const auto place = static_cast<std::size_t>(rank);
  const bool has_lanes = place + 1 < group.begins.size();
  return {.rank = rank,
          .number = member.number,
          .host = member.host,
          .phase = member.phase,
          .waits_in = member.beat.waits_in,
          .pid = member.pid,
          .step = member.step,
          .lanes = has_lanes ? LaneRange{group.begins[place], group.begins[place + 1]} : LaneRange{},
          .lane_seconds = member.lane_seconds,
          .slow = member.lane_seconds > kSlow * group.median,
          .silent_seconds = std::chrono::duration<double>(now - member.last_heard).count()};
}

using Ranked = std::pair<int, const Member*>;

/// Those that were heard from longest ago, by rank.
std::vector<WorkerSeen> silent_longest(std::vector<Ranked> members, const ServedRun& run) {
  std::nth_element(members.begin(), members.begin() + kListedOfMore, members.end(),
                   [](const Ranked& a, const Ranked& b) { return a.second->last_heard < b.second->last_heard; });
  members.resize(kListedOfMore);
  std::sort(members.begin(), members.end());
  const Group group = group_of(run);
  std::vector<WorkerSeen> listed;
  for (const auto& [rank, member] : members) listed.push_back(seen(rank, *member, group, run.now));
  return listed;
}

/// A walk over all, so that a status of thousands costs less than a millisecond on the loop.
void add_workers(Json& status, const ServedRun& run) {
  std::vector<Ranked> members;
  std::map<std::string_view, std::int64_t> phases;
  std::unordered_set<std::string_view> hosts;
  std::string_view host;
  for (const auto& [rank, member] : run.state.members) {
    if (!member.connected) continue;
    members.emplace_back(rank, &member);
    ++phases[member.phase];
    if (members.size() == 1 || host != member.host) hosts.insert(member.host);
    host = member.host;
  }
  const auto is_ready = [](const auto& newcomer) { return newcomer.second.ready.has_value(); };
  const auto& newcomers = run.state.newcomers;
  const auto ready = std::count_if(newcomers.begin(), newcomers.end(), is_ready);
  status["waiting"] = {{"ready", ready}, {"preparing", std::ssize(newcomers) - ready}};
  status["num_workers"] = members.size();
  status["num_hosts"] = hosts.size();
  status["phases"] = Json::object();
  for (const auto& [phase, workers] : phases) status["phases"][std::string(phase)] = workers;
  status["workers"] =
      workers_json(members.size() <= kMostListed ? workers_of(run) : silent_longest(std::move(members), run));
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

/// Workers that do not take part: spares, and those that are about to.
std::string waiting_text(const Json& waiting) {
  const auto count = [&](const char* key) { return waiting.is_object() ? waiting.value(key, 0) : 0; };
  if (count("ready") + count("preparing") == 0) return {};
  return fmt::format("{} ready to take part, {} preparing", count("ready"), count("preparing"));
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
  add_workers(status, run);
  status["last_checkpoint"] = checkpoint_json(run.state.checkpoint);
  status["restarts"] = run.state.restarts;
  status["uptime_seconds"] = std::chrono::duration<double>(run.now - run.started).count();
  return status;
}

std::vector<WorkerSeen> workers_of(const ServedRun& run) {
  const Group group = group_of(run);
  std::vector<WorkerSeen> workers;
  workers.reserve(run.state.members.size());
  for (const auto& [rank, member] : run.state.members)
    if (member.connected) workers.push_back(seen(rank, member, group, run.now));
  return workers;
}

Json workers_json(const std::vector<WorkerSeen>& workers) {
  Json list = Json::array();
  for (const WorkerSeen& worker : workers)
    list.push_back({{"rank", worker.rank},
                    {"worker", worker.number},
                    {"host", worker.host},
                    {"pid", worker.pid},
                    {"phase", worker.phase},
                    {"step", worker.step},
                    {"lanes", {worker.lanes.begin, worker.lanes.end}},
                    {"lane_seconds", worker.lane_seconds > 0 ? Json(worker.lane_seconds) : Json()},
                    {"slow", worker.slow},
                    {"waits_in", worker.waits_in},
                    {"seconds_since_heartbeat", worker.silent_seconds}});
  return list;
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
  status["num_workers"] = status["num_hosts"] = 0;
  status["waiting"] = {{"ready", 0}, {"preparing", 0}};
  status["phases"] = Json::object();
  status["last_checkpoint"] = checkpoint_json(record.checkpoint);
  status["restarts"] = recorded_restarts(entries);
  status["uptime_seconds"] = Json();
  return Result<Json>(boost::system::in_place_value, std::move(status));
}

std::string crowd_text(const Json& status) {
  const auto member = [&](const char* key) {
    const auto found = status.is_object() ? status.find(key) : status.end();
    return found != status.end() ? *found : Json();
  };
  const auto count = [](const Json& value) { return value.is_number_integer() ? value.get<std::int64_t>() : 0; };
  const std::int64_t workers = count(member("num_workers")), hosts = count(member("num_hosts"));
  if (workers <= static_cast<std::int64_t>(member("workers").size())) return {};
  std::string text = fmt::format("{} workers on {} {}", workers, hosts, hosts == 1 ? "host" : "hosts");
  const Json phases = member("phases");
  const char* between = ": ";
  for (auto phase = phases.begin(); phases.is_object() && phase != phases.end(); ++phase) {
    text += fmt::format("{}{} {}", between, count(phase.value()), phase.key());
    between = ", ";
  }
  return text;
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
  if (const std::string crowd = crowd_text(status); !crowd.empty())
    line(text, "workers", crowd + "; these were heard from longest ago (--all lists every one)");
  for (const Json& worker : status.at("workers")) line(text, "worker", worker_text(worker));
  line(text, "waiting", waiting_text(status.value("waiting", Json::object())));
  if (const int restarts = status.value("restarts", 0); restarts > 0) line(text, "restarts", std::to_string(restarts));
  if (status.at("uptime_seconds").is_number())
    line(text, "up for", duration_text(status.at("uptime_seconds").get<double>()));
  return text;
}

}  // namespace plumbline
