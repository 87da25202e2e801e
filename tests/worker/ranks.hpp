// Ranks as threads of the test program.
#pragma once
#include <functional>
#include <thread>
#include <vector>

#include "worker/collective/collective.hpp"

namespace plumbline {

/// Runs `body` as every rank of a group at once and waits for all.
inline void run_ranks(int size, const std::function<void(Collective&)>& body) {
  auto collectives = make_thread_collectives(size);
  std::vector<std::thread> threads;
  for (auto& collective : collectives)
    threads.emplace_back([&body, &collective] {
      at::set_num_threads(1);
      body(*collective);
    });
  for (auto& thread : threads) thread.join();
}

}  // namespace plumbline
