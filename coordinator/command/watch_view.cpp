#include "coordinator/command/watch_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/core/utf8.hpp"
#include "coordinator/inspect/table.hpp"
#include "coordinator/serve/status.hpp"

namespace plumbline {
namespace {

constexpr std::size_t kMostEvents = 8, kBarColumns = 24, kNameColumns = 20, kFewestCurveColumns = 8;
constexpr std::array<const char*, 8> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
constexpr std::array<const char*, 8> kAscii = {"_", ".", "-", "~", "=", "+", "*", "#"};

const Json& member(const Json& object, const char* key) {
  static const Json kNone;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found == object.end() || !object.is_object() ? kNone : *found;
}
std::string text_of(const Json& value, const char* otherwise = "?") {
  return value.is_string() ? printable(value.get<std::string>()) : otherwise;
}
std::int64_t whole_of(const Json& value) { return value.is_number() ? value.get<std::int64_t>() : 0; }

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

/// "  key 0.1234" where there is such a number.
std::string number_text(const Json& object, const char* key, const char* label) {
  const Json& value = member(object, key);
  return value.is_number() ? fmt::format("  {} {:.4f}", label, value.get<double>()) : std::string();
}

std::string progress_bar(const Json& status, bool utf8) {
  const auto step = static_cast<double>(whole_of(member(status, "step")));
  const auto steps = static_cast<double>(std::max<std::int64_t>(whole_of(member(status, "steps")), 1));
  const double share = std::clamp(step / steps, 0.0, 1.0);
  const auto full = static_cast<std::size_t>(share * kBarColumns);
  std::string bar;
  for (std::size_t i = 0; i < kBarColumns; ++i) bar += i < full ? (utf8 ? "█" : "#") : (utf8 ? "░" : ".");
  return fmt::format("{} {:.0f}%", bar, 100 * share);
}

std::string speed_text(const Json& status) {
  std::string text;
  if (const Json& speed = member(status, "tokens_per_second"); speed.is_number())
    text += fmt::format("  {:.0f} tokens/s", speed.get<double>());
  const bool trains = whole_of(member(status, "step")) < whole_of(member(status, "steps"));
  if (const Json& left = member(status, "eta_seconds"); left.is_number() && trains && !is_over(status))
    text += "  about " + duration_text(left.get<double>()) + " left";
  return text;
}

std::vector<std::string> head_lines(const Json& status, bool utf8) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{}  {}  {}", text_of(member(status, "name")), text_of(member(status, "state")),
                              text_of(member(status, "run"), "")));
  lines.push_back(fmt::format("step {} of {}{}{}", whole_of(member(status, "step")), whole_of(member(status, "steps")),
                              number_text(status, "epoch", "epoch"), number_text(status, "loss", "loss")));
  lines.push_back(progress_bar(status, utf8) + speed_text(status));
  std::string state = fmt::format("generation {}", whole_of(member(status, "generation")));
  if (const auto restarts = whole_of(member(status, "restarts")); restarts > 0)
    state += fmt::format("  restarts {}", restarts);
  const Json& checkpoint = member(status, "last_checkpoint");
  if (checkpoint.is_object())
    state += fmt::format("  checkpoint of step {}, weights {}", whole_of(member(checkpoint, "step")),
                         text_of(member(checkpoint, "weights_sha256")).substr(0, 12));
  lines.push_back(state);
  return lines;
}

/// "polite  0.4321  ▇▅▃▂▁  held-out 0.5120 at step 100"
std::vector<std::string> norm_lines(const Json& status, const LossCurves& losses, const Screen& screen) {
  std::vector<std::string> lines;
  std::size_t longest = 0;
  for (const auto& [name, values] : losses)
    longest = std::max(longest, code_points(shorten(name, kNameColumns)).size());
  const Json& held_out = member(status, "heldout");
  for (const auto& [name, values] : losses) {
    std::string line = shorten(name, kNameColumns);
    line.append(longest - code_points(line).size(), ' ');
    line += fmt::format("{:10.4f}  ", values.empty() ? 0 : values.back());
    std::string after;
    if (const Json& loss = member(member(member(held_out, "norms"), name.c_str()), "loss"); loss.is_number())
      after = fmt::format("  held-out {:.4f} at step {}", loss.get<double>(), whole_of(member(held_out, "step")));
    const std::size_t taken = longest + 12 + after.size();
    const std::size_t room = screen.columns > taken ? screen.columns - taken : 0;
    line += sparkline(values, std::max(room, kFewestCurveColumns), screen.utf8) + after;
    lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<std::string> worker_lines(const Json& status) {
  std::vector<std::string> lines;
  if (std::string crowd = crowd_text(status); !crowd.empty()) lines.push_back(printable(crowd));
  for (const Json& worker : member(status, "workers")) {
    std::string line = fmt::format("rank {}  {}  {}", whole_of(member(worker, "rank")), text_of(member(worker, "host")),
                                   text_of(member(worker, "phase")));
    if (const Json& lanes = member(worker, "lanes"); lanes.is_array() && lanes.size() == 2)
      line += fmt::format("  lanes {} to {}", whole_of(lanes[0]), whole_of(lanes[1]) - 1);
    if (const Json& seconds = member(worker, "lane_seconds"); seconds.is_number())
      line += fmt::format(", {:.0f} ms each", 1000 * seconds.get<double>());
    if (member(worker, "slow") == true) line += "  slow";
    line += fmt::format("  step {}", whole_of(member(worker, "step")));
    if (const Json& silence = member(worker, "seconds_since_heartbeat"); silence.is_number())
      line += fmt::format("  heard {:.1f} s ago", silence.get<double>());
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

std::string sparkline(const std::vector<double>& values, std::size_t width, bool utf8) {
  const std::size_t bars = std::min(width, values.size());
  std::vector<double> means;
  for (std::size_t bar = 0; bar < bars; ++bar) {
    const std::size_t begin = bar * values.size() / bars, end = (bar + 1) * values.size() / bars;
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += values[i];
    means.push_back(sum / static_cast<double>(end - begin));
  }
  if (means.empty()) return {};
  const auto [low, high] = std::minmax_element(means.begin(), means.end());
  std::string line;
  for (const double mean : means) {
    const double height = *high > *low ? (mean - *low) / (*high - *low) : 0;
    line += (utf8 ? kBlocks : kAscii)[static_cast<std::size_t>(height * (kBlocks.size() - 1) + 0.5)];
  }
  return line;
}

std::vector<std::string> watch_screen(const Json& status, const LossCurves& losses,
                                      const std::vector<JournalEntry>& events, const Screen& screen) {
  const std::size_t rows = std::max<std::size_t>(screen.rows, 2) - 1;
  std::vector<std::string> lines = head_lines(status, screen.utf8);
  for (auto& line : norm_lines(status, losses, screen)) lines.push_back(std::move(line));
  for (auto& line : worker_lines(status)) lines.push_back(std::move(line));
  lines.resize(std::min(lines.size(), rows));
  const std::size_t shown = std::min({kMostEvents, events.size(), rows - lines.size()});
  for (std::size_t i = events.size() - shown; i < events.size(); ++i) lines.push_back(event_text(events[i]));
  for (std::string& line : lines) line = shorten(line, std::max<std::size_t>(screen.columns, 1));
  return lines;
}

std::string watch_line(const Json& status) {
  std::string line =
      fmt::format("{}  step {} of {}{}", text_of(member(status, "state")), whole_of(member(status, "step")),
                  whole_of(member(status, "steps")), number_text(status, "loss", "loss"));
  line += speed_text(status);
  if (const auto generation = whole_of(member(status, "generation")); generation > 0)
    line += fmt::format("  generation {}", generation);
  if (const Json& checkpoint = member(status, "last_checkpoint"); checkpoint.is_object())
    line += fmt::format("  checkpoint of step {}", whole_of(member(checkpoint, "step")));
  return line;
}

std::string event_text(const JournalEntry& event) {
  std::string name = event.event;
  std::replace(name.begin(), name.end(), '_', ' ');
  const bool has_clock = event.time.size() >= 19 && event.time[10] == 'T';
  std::string text = fmt::format("{} {}", has_clock ? event.time.substr(11, 8) : event.time, name);
  for (const char* key : {"step", "instead", "rate", "generation", "rank", "host", "by", "file", "reason", "message"}) {
    const Json& value = member(event.data, key);
    if (value.is_string()) text += fmt::format("  {}", value.get<std::string>());
    if (value.is_number()) text += fmt::format("  {} {}", key, value.dump());
  }
  return printable(text);
}

Json without_clocks(Json status) {
  if (!status.is_object()) return status;
  status.erase("uptime_seconds");
  if (!crowd_text(status).empty()) status.erase("workers");  // Those who are listed are others at each look.
  if (const auto workers = status.find("workers"); workers != status.end() && workers->is_array())
    for (Json& worker : *workers)
      for (const char* clock : {"seconds_since_heartbeat", "lane_seconds", "waits_in"})
        if (worker.is_object()) worker.erase(clock);
  return status;
}

bool is_over(const Json& status) {
  const std::string state = text_of(member(status, "state"));
  for (const char* over : {"created", "stopped", "finished", "failed", "interrupted"})
    if (state == over) return member(status, "uptime_seconds").is_null();
  return false;
}

}  // namespace plumbline
