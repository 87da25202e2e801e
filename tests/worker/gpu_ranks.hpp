// Ranks as threads of the test program, each on a GPU of its own.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <vector>

#include "worker/collective/nccl_group.hpp"
#include "worker/device.hpp"

namespace plumbline {

inline int num_gpus() { return static_cast<int>(visible_gpus().size()); }

/// Runs `body` as every rank of a NCCL group at once and waits for all.
inline void run_gpu_ranks(int size, const std::function<void(Collective&, at::Device)>& body) {
  const std::string id = new_nccl_id().value();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(rank));
      auto collective = make_nccl_collective({rank, size, device}, id);
      if (collective.has_error()) {
        ADD_FAILURE() << "rank " << rank << " of " << size << ": " << to_string(collective.error());
        return;
      }
      body(*collective.value(), device);
    });
  for (auto& thread : threads) thread.join();
}

}  // namespace plumbline
