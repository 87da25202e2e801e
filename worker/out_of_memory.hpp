// What a library throws, as an error for people. Where memory ran out (torch's allocators for CPUs and GPUs,
// std::bad_alloc) the error says who wanted how much while it was doing what, what is free, and which keys need less;
// where it came from in a library helps nobody. Any thread. Without torch: its exceptions are known by what they say.
#pragma once
#include <exception>
#include <optional>
#include <string>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "worker/activity.hpp"

namespace plumbline {

struct MemoryShortage {
  std::string asked;  ///< "1.50 GiB"; empty: the exception does not say
  std::string free;   ///< "0.25 GiB of this GPU's 139.72 GiB"; empty: not known
};

/// Nothing for an exception that is about something else.
std::optional<MemoryShortage> memory_shortage(const std::exception& e);

/// An environment error where memory ran out, which nobody should try again; a run error for anything else. `who`:
/// "worker 2 on node-7"; `hint`: what to do about memory.
Error library_error(const std::exception& e, const std::string& who, const Activity::Work& work,
                    const std::string& hint);

/// Which keys of the configuration need less memory in what was done, with their present values.
std::string memory_hint(const Activity::Work& work, const RunConfig& config);

}  // namespace plumbline
