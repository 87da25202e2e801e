#include "coordinator/serve/admission.hpp"

#include <sys/resource.h>

#include <algorithm>

namespace plumbline {

namespace {
constexpr std::size_t kOwnDescriptors = 128;  ///< files, a static group's process, HDF5
constexpr std::size_t kForClients = 16;
constexpr std::size_t kPerProcess = 2;  ///< the pidfd, and its duplicate in the event loop
}  // namespace

AdmissionLimits within_descriptors(AdmissionLimits limits, std::size_t descriptors) {
  const std::size_t left = descriptors > 2 * kOwnDescriptors ? descriptors - kOwnDescriptors : kOwnDescriptors;
  limits.connections = std::min(limits.connections, left);
  limits.strangers = std::min(limits.strangers, std::max<std::size_t>(limits.connections / 4, 1));
  return limits;
}

std::size_t descriptors_for(int workers, bool elastic) {
  return static_cast<std::size_t>(workers) * (elastic ? 1 + kPerProcess : 1) + kOwnDescriptors + kForClients;
}

Status check_descriptors(int workers, bool elastic, std::size_t descriptors) {
  const std::size_t needed = descriptors_for(workers, elastic);
  if (descriptors >= needed) return {};
  return environment_error(
      "this process may open " + std::to_string(descriptors) + " files, and the coordinator of " +
          std::to_string(workers) + (workers == 1 ? " worker" : " workers") + " needs " + std::to_string(needed),
      "the limit of open files (RLIMIT_NOFILE)",
      "Raise the hard limit (`ulimit -Hn`, or nofile in /etc/security/limits.conf), or use fewer workers.");
}

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur == limit.rlim_max) return limit.rlim_cur;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  return ::setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

Admission::Room Admission::room(SteadyTime now) const {
  if (strangers_.size() < limits_.strangers) return {};
  const auto& [oldest, came] = *strangers_.begin();
  if (now - came < limits_.grace) return {Place::kWait, oldest, came + limits_.grace};
  return {Place::kEvict, oldest, now};
}

std::optional<std::string> Admission::turned_away(const std::string& reason, SteadyTime now) {
  if (said_ && now - *said_ < limits_.log_every) {
    ++unsaid_;
    return std::nullopt;
  }
  said_ = now;
  std::string line = "a connection is turned away: " + reason;
  if (unsaid_ > 0) line += " (and " + std::to_string(unsaid_) + " more since the last such line)";
  unsaid_ = 0;
  return line;
}

}  // namespace plumbline
