// A committed checkpoint that no longer verifies, and how the journal and the log speak of it. Nothing of it is
// deleted: its folder is renamed, so that training can commit the same step again.
#pragma once
#include <string>

#include "coordinator/journal/journal.hpp"

namespace plumbline {

struct SetAsideCheckpoint {
  CommittedCheckpoint checkpoint;
  std::string file;      ///< at fault
  std::string reason;    ///< what is wrong with it
  std::string moved_to;  ///< inside the run directory; empty when there was no folder
};

/// Of the event checkpoint_set_aside; `instead`: the step that the run goes on from.
Json journal_data(const SetAsideCheckpoint& aside, Step instead);
/// A line for the log.
std::string to_string(const SetAsideCheckpoint& aside, Step instead);

}  // namespace plumbline
