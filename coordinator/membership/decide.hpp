// The coordinator's decisions: decide(facts, state, event, now) → the new state and what to do, each with its reason.
// Pure: no clock, socket or file; so thousands of schedules of faults run in a second (tests/coordinator/membership).
//
// What holds, whatever the order of events:
//   - one group at a time; a message counts only from a connection of the present group, in the present generation;
//   - all ranks of a generation get their assignments together, and compute with the run's numeric fingerprint; a
//   static
//     group's when all of it is there, an elastic group's when everybody has left the generation before;
//   - an elastic generation takes the newest step that any of its workers holds, or the newest committed checkpoint
//     where that is newer, so a step is undone only when nobody who holds it is left and no checkpoint has it;
//   - a checkpoint is stored only when every part was reported in one generation, whatever steps were taken meanwhile,
//     and committed in the journal before any worker hears of it; a generation never begins while one is being stored,
//     and one that begins from files does so from the newest committed checkpoint, once that was verified: by
//     open_run's caller for the first, then for each;
//   - a static group is not started more than max_restarts times in a row without a new checkpoint, and workers of an
//     elastic one are not launched again after more losses in a row than that without a new step;
//   - every run ends: EndRun is the last action, once nothing of the group is left, and comes once (twice only when the
//     journal refuses to record the first).
#pragma once
#include <vector>

#include "coordinator/membership/run_state.hpp"

namespace plumbline {

struct Decision {
  RunState state;
  std::vector<Action> actions;
};
Decision decide(const RunFacts& facts, RunState state, const Event& event, SteadyTime now);

/// The word that `plumbline status` shows for what the run is doing.
std::string describe_phase(const RunState& state);

}  // namespace plumbline
