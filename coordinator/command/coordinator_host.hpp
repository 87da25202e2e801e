// Where a run's coordinator is, as seen from here.
#pragma once
#include <unistd.h>

#include <array>

#include "common/record/run_layout.hpp"

namespace plumbline {

inline bool is_on_this_host(const CoordinatorAddress& address) {
  std::array<char, 256> host{};
  return ::gethostname(host.data(), host.size() - 1) == 0 && address.hostname == host.data();
}

/// It listens on loopback addresses only, so a process elsewhere cannot reach it, and may meet another run's there.
inline bool can_be_asked(const RunLayout& layout) {
  const auto address = read_address(layout);
  return address.has_value() && is_on_this_host(*address);
}

}  // namespace plumbline
