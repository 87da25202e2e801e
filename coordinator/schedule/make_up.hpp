// When a checkpoint is made up for. One that was due is given up where its generation breaks while it is being written
// (docs/decisions/0014), and training may be past its step by then: waiting for the next one that is due would cost a
// later failure up to twice `checkpoint.every` steps. Pure.
#pragma once
#include <cstdint>
#include <optional>

namespace plumbline {

/// What a generation that takes up training at step `start` knows.
struct MakeUp {
  std::int64_t every = 0;      ///< `checkpoint.every`; 0: none is ever due
  std::int64_t committed = 0;  ///< step of the newest committed checkpoint; 0: there is none
  std::int64_t start = 0;
  int given_up = 0;  ///< of those that made up for one, how many in a row were given up in their turn
};

/// The step at which the generation saves though none is due there: its first, so that a group which breaks before it
/// gets anywhere copies nothing; after each one that was given up in its turn, twice as many steps later, so that where
/// faults come one after another only a few of the steps between two due ones are followed by a copy. Nothing where the
/// newest due one is committed, where one is due at `start` itself, and from where the next one is due.
std::optional<std::int64_t> make_up_step(const MakeUp& from);

}  // namespace plumbline
