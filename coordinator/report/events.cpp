#include "coordinator/report/events.hpp"

#include <map>
#include <utility>
#include <vector>

#include "coordinator/aggregate/judged.hpp"

namespace plumbline {
namespace {

constexpr std::size_t kMostDetailBytes = 300;

std::string short_text(const Json& value) {
  std::string text = value.is_string() ? value.get<std::string>() : dump_text(value);
  if (text.size() <= kMostDetailBytes) return text;
  std::size_t end = kMostDetailBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

Json details(const Json& line) {
  Json out = Json::array();
  const auto data = line.find("data");
  if (data == line.end() || data->is_null()) return out;
  if (!data->is_object()) return Json::array({Json::array({"", short_text(*data)})});
  for (const auto& [key, value] : data->items()) out.push_back(Json::array({key, short_text(value)}));
  return out;
}

std::string text_of(const Json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end()) return {};
  return found->is_string() ? found->get<std::string>() : dump_text(*found);
}

std::vector<Json> parse_lines(std::string_view journal, std::size_t& unreadable) {
  std::vector<Json> lines;
  while (!journal.empty()) {
    const std::size_t end = std::min(journal.find('\n'), journal.size());
    const std::string_view text = journal.substr(0, end);
    journal.remove_prefix(std::min(end + 1, journal.size()));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto line = parse_json(text, "journal.jsonl");
    if (line.has_value() && line->is_object() && line->contains("event"))
      lines.push_back(*line);
    else
      ++unreadable;
  }
  return lines;
}

}  // namespace

Json journal_events(std::string_view journal) {
  std::size_t unreadable = 0;
  const std::vector<Json> lines = parse_lines(journal, unreadable);
  std::map<std::string, std::vector<const Json*>> by_name;
  for (const Json& line : lines) by_name[text_of(line, "event")].push_back(&line);
  std::vector<const Json*> listed;
  Json routine = Json::array();
  for (const Json& line : lines)
    if (by_name[text_of(line, "event")].size() < kRoutineFrom) listed.push_back(&line);
  for (const auto& [name, of_name] : by_name)
    if (of_name.size() >= kRoutineFrom)
      routine.push_back({{"event", name},
                         {"count", of_name.size()},
                         {"first", text_of(*of_name.front(), "time")},
                         {"last", text_of(*of_name.back(), "time")}});
  std::size_t left_out = 0;
  if (listed.size() > kMostEvents) {
    left_out = listed.size() - kMostEvents;
    const auto from = listed.begin() + kMostEvents / 2;
    listed.erase(from, from + static_cast<std::ptrdiff_t>(left_out));
  }
  Json events = Json::array();
  for (const Json* line : listed)
    events.push_back({{"seq", text_of(*line, "seq")},
                      {"time", text_of(*line, "time")},
                      {"event", text_of(*line, "event")},
                      {"data", details(*line)}});
  return {{"events", events}, {"routine", routine}, {"left_out", left_out}, {"unreadable", unreadable}};
}

}  // namespace plumbline
