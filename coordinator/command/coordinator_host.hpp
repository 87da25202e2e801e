// Where a run's coordinator is, as seen from here.
#pragma once
#include <unistd.h>

#include <array>

#include "common/config/loopback.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

inline bool is_on_this_host(const CoordinatorAddress& address) {
  std::array<char, 256> host{};
  return ::gethostname(host.data(), host.size() - 1) == 0 && address.hostname == host.data();
}

/// A coordinator on another host that listens there alone cannot be reached.
inline bool can_be_asked(const RunLayout& layout) {
  const auto address = read_address(layout);
  return address.has_value() && (is_on_this_host(*address) || !is_loopback(address->host));
}

}  // namespace plumbline
