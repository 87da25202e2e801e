// What the run measures, for TensorBoard: RUN/events.out.tfevents.TIME.HOST.PID.plumbline, a file a start of the
// coordinator, with the scalars of each line that metrics.jsonl gets. Names are those of that file:
//   loss, learning_rate, grad_norm, tokens_per_second, phase_seconds/backward, …
//   norm/NAME/loss, norm/NAME/rewards/margins, …                    heldout/NAME/loss, …
// A step stands once, whatever the run has gone through: where training is taken up again before what is written, the
// void end of earlier files is cut off, and a new file tells a reader that has seen it to forget it.
//
// The record of a run is metrics.jsonl. An event log that cannot be written (a full disk) is given up with an error,
// and the run goes on.
#pragma once
#include <cstdint>
#include <vector>

#include "common/core/json.hpp"
#include "common/record/event_file.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

/// Of one line of metrics.jsonl; numbers that are not finite are left out.
std::vector<Scalar> scalars_of(const Json& line);

class EventLog {
 public:
  /// For a run whose metrics.jsonl has `lines`: they are in earlier files.
  EventLog(RunLayout layout, const std::vector<Json>& lines);
  /// Writes one line's scalars. After an error it does nothing.
  Status add(const Json& line);

 private:
  struct Newest {
    std::int64_t train = -1, held_out = -1;
  };
  Status write(const Json& line);
  /// Begins a file that stands behind all others, for what comes at `step` and later.
  Status begin_file(double wall_time, std::int64_t step);

  RunLayout layout_;
  Newest newest_;               ///< steps that are written
  std::filesystem::path file_;  ///< empty: not begun
  bool given_up_ = false;
};

}  // namespace plumbline
