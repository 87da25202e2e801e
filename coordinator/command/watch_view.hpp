// What `plumbline status --watch` shows, as text: from a status, the losses so far and the journal to lines that fit a
// screen. Pure. What files and peers say is shown and never obeyed by the terminal; a screen may be as narrow as it
// likes.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "coordinator/journal/journal.hpp"

namespace plumbline {

struct Screen {
  std::size_t columns = 80, rows = 24;
  bool utf8 = true;  ///< bars of blocks; else of ASCII characters
};

/// Losses in the order of steps, by norm.
using LossCurves = std::map<std::string, std::vector<double>>;

/// `values` as at most `width` bars, each the mean of as many neighbours as it takes, from the lowest to the highest of
/// them. Fewer values are as many bars.
std::string sparkline(const std::vector<double>& values, std::size_t width, bool utf8);

/// At most screen.rows - 1 lines (the cursor has the last), each at most screen.columns code points. Where rows are
/// few, old events go first, then workers.
std::vector<std::string> watch_screen(const Json& status, const LossCurves& losses,
                                      const std::vector<JournalEntry>& events, const Screen& screen);

/// The same in one line, for what is no terminal.
std::string watch_line(const Json& status);
/// "10:24:13 checkpoint committed  step 100"
std::string event_text(const JournalEntry& event);

/// A status without what changes with the clock alone: whether something has happened between two looks.
Json without_clocks(Json status);
/// Nobody serves the run any more, or yet.
bool is_over(const Json& status);

}  // namespace plumbline
