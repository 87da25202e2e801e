// The run's journal as a reader wants it: what happened, in order, with the routine counted instead of listed.
#pragma once
#include <string>
#include <string_view>

#include "common/core/json.hpp"

namespace plumbline {

inline constexpr std::size_t kRoutineFrom = 25;  ///< an event that stands this often or more is counted, not listed
inline constexpr std::size_t kMostEvents = 200;  ///< listed: the first and the last half

/// `journal` is the text of journal.jsonl; lines that are no JSON object with an "event" are counted and passed over.
/// {"events": [{"seq", "time", "event", "data": [[key, text], …]}], "routine": [{"event", "count", "first", "last"}],
///  "left_out": n, "unreadable": n}
Json journal_events(std::string_view journal);

}  // namespace plumbline
