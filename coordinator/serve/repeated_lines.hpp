// What happens to thousands of workers at once is said in a few lines. Lines that differ only in their numbers (ranks,
// pids, the numbers in hosts' names) are of one kind; of each kind the first few within a window are written, and what
// is left out is counted and said when the window is over. While more of it comes, each further window has that one
// line:
//   rank 0 (pid 4711 on node-0) is lost: the other end hung up
//   … and 9,984 more like this, the last one: rank 9999 (pid 4811 on node-1249) is lost: the other end hung up
// No clock: the caller says what time it is. Not for several threads.
#pragma once
#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "common/core/clock.hpp"

namespace plumbline {

class RepeatedLines {
 public:
  static constexpr std::size_t kWritten = 16;  ///< of each kind, in each window
  static constexpr std::chrono::milliseconds kWindow{1'000};
  static constexpr std::size_t kMostKinds = 1'000;  ///< of a window; lines of yet another kind are written

  /// Is `line` to be written? `level` is the caller's, and comes back with what is said about lines that were not.
  bool is_written(int level, const std::string& line, SteadyTime now);

  struct Summary {
    int level = 0;
    std::string line;
  };
  /// Of the lines that were left out, in the order of their first ones: nothing before the window is over.
  std::vector<Summary> due(SteadyTime now);
  /// The same, whether it is over or not.
  std::vector<Summary> all();

 private:
  struct Kind {
    int level = 0;
    std::size_t number = 0, written = 0, left_out = 0;
    std::string last;
  };
  std::map<std::string, Kind> kinds_;  ///< by the line without its digits
  SteadyTime window_;
  std::size_t number_ = 0;  ///< of the newest kind
};

}  // namespace plumbline
