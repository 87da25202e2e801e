// Who is let in when many come. A stranger, who has not yet proved the run's key, takes one of a bounded number of
// places. When all are taken, one who had time enough and did not use it makes room for the next; until there is such a
// one, the next waits in the kernel's queue. So connections that say nothing cost those who know the key a moment at
// most, and many workers that come at once are let in one after the other.
//
// What strangers are refused for is counted, and said once in a while: a log line for each would let them fill a disk.
#pragma once
#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "common/core/clock.hpp"
#include "common/core/result.hpp"
#include "coordinator/membership/event.hpp"

namespace plumbline {

struct AdmissionLimits {
  std::size_t strangers = 1024, connections = 17'408;  ///< kMostWorkers, and as many others as strangers may be
  std::chrono::milliseconds grace{1'000};              ///< how long a stranger keeps its place when others wait
  std::chrono::milliseconds log_every{1'000};          ///< at most one line about strangers
};

/// What fits into so many file descriptors, with some left for everything else.
AdmissionLimits within_descriptors(AdmissionLimits limits, std::size_t descriptors);
/// For each of `workers` a connection, in an elastic group (each of whose processes is watched) three, and besides
/// some for clients and everything else.
std::size_t descriptors_for(int workers, bool elastic);
/// An environment error where `descriptors` are too few for so many workers: better before the first is launched than
/// when one of the last is turned away.
Status check_descriptors(int workers, bool elastic, std::size_t descriptors);
/// Raises this process's limit of file descriptors as far as it may, and says what it is then.
std::size_t raise_descriptor_limit();

class Admission {
 public:
  explicit Admission(const AdmissionLimits& limits) : limits_(limits) {}

  void came(ConnectionId id, SteadyTime now) { strangers_.emplace(id, now); }
  /// It has proved the key, or is gone. Whether it was a stranger.
  bool left(ConnectionId id) { return strangers_.erase(id) > 0; }
  [[nodiscard]] std::size_t strangers() const { return strangers_.size(); }
  [[nodiscard]] bool is_full(std::size_t connections) const { return connections >= limits_.connections; }

  enum class Place { kFree, kWait, kEvict };
  struct Room {
    Place place = Place::kFree;
    ConnectionId oldest;  ///< kEvict: who makes room
    SteadyTime until;     ///< kWait: when the oldest has had its time
  };
  /// May one more come?
  [[nodiscard]] Room room(SteadyTime now) const;

  /// The line to log, or nothing yet, about a stranger that was turned away.
  std::optional<std::string> turned_away(const std::string& reason, SteadyTime now);

 private:
  AdmissionLimits limits_;
  std::map<ConnectionId, SteadyTime> strangers_;  ///< in the order in which they came
  std::size_t unsaid_ = 0;
  std::optional<SteadyTime> said_;
};

}  // namespace plumbline
