// NCCL's part of a run: one group of ranks, each on a GPU of its own, named by an identifier that rank 0 makes and the
// coordinator relays. Only nccl.cpp includes nccl.h; a build without CUDA has nccl_absent.cpp, where both functions are
// environment errors. Call from the training thread.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "common/core/result.hpp"
#include "worker/collective/collective.hpp"
#include "worker/collective/interrupt.hpp"

namespace plumbline {

struct NcclPlace {
  int rank = 0, size = 1;
  at::Device device{at::kCUDA, 0};            ///< this rank's; no other rank's
  std::chrono::milliseconds timeout{60'000};  ///< for the group to come together
  const Interrupt* interrupt = nullptr;       ///< ends every wait once it is raised; null: nothing does
};

/// The identifier of a new group: 256 hex digits. Needs no GPU. A port of this host is listened on from now on.
Result<std::string> new_nccl_id();

/// Comes together with the other ranks of the group `id_hex`. Errors name NCCL's call and carry its text; a rank that
/// does not come within the timeout is a run error.
Result<std::unique_ptr<Collective>> make_nccl_collective(const NcclPlace& place, const std::string& id_hex);

}  // namespace plumbline
