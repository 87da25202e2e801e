#include "coordinator/journal/set_aside.hpp"

#include <fmt/format.h>

namespace plumbline {

Json journal_data(const SetAsideCheckpoint& aside, Step instead) {
  return {{"step", aside.checkpoint.step.value()},
          {"weights_sha256", aside.checkpoint.weights_sha256},
          {"file", aside.file},
          {"reason", aside.reason},
          {"moved_to", aside.moved_to.empty() ? Json() : Json(aside.moved_to)},
          {"instead", instead.value()}};
}

std::string to_string(const SetAsideCheckpoint& aside, Step instead) {
  return fmt::format("the checkpoint of step {} is set aside{}: {} ({}); the run goes on from the one of step {}",
                     aside.checkpoint.step.value(), aside.moved_to.empty() ? "" : " as " + aside.moved_to, aside.reason,
                     aside.file, instead.value());
}

}  // namespace plumbline
