// Memory over many steps of the real trainer: allocated by the first ones, and not growing after them.
#include <malloc.h>
#include <unistd.h>

#include <fstream>

#include "tests/worker/training/tiny_run.hpp"

namespace plumbline {
namespace {

constexpr std::int64_t kWarmUp = 500, kSteps = 2000;

struct Memory {
  std::int64_t resident_bytes = 0;  ///< of the process
  std::int64_t heap_bytes = 0;      ///< handed out by malloc and not freed, torch's tensors among them
};

Memory memory_now() {
  malloc_trim(0);  // What is free goes back to the system, so that a heap's shape by chance does not count.
  std::int64_t total_pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> total_pages >> resident_pages;
  const auto info = mallinfo2();
  return {resident_pages * sysconf(_SC_PAGESIZE), static_cast<std::int64_t>(info.uordblks + info.hblkhd)};
}

/// kto, dpo and unlikelihood at once, with dropout, clipping and batches of ever other shapes.
TEST(MemoryTest, DoesNotGrowOverTwoThousandSteps) {
  TinyRun run;
  run.config.norms["mirror"].objective = Objective::kKto;
  run.config.model.d_model = 8, run.config.model.d_ff = 8, run.config.model.num_heads = 2;
  run.config.model.num_layers = run.config.model.num_decoder_layers = 1;
  run.config.train.global_batch = 4, run.config.train.lanes = 2;
  run.config.train.steps = kWarmUp + kSteps;
  const auto collective = make_self_collective();
  auto model = run.start_model();
  const References references = run.references(*model, *collective);
  const auto trainer = Trainer::make(run.config, run.dataset, &references.train, std::move(model), *collective).value();
  Memory before;
  for (std::int64_t step = 0; step < kWarmUp + kSteps; ++step) {
    if (step == kWarmUp) before = memory_now();
    ASSERT_TRUE(trainer->step(step).has_value());
  }
  const Memory after = memory_now();
  // Seen: 1 to 3 kB, and 4 kB at most. A tensor that is kept at every step would be 300 kB, the gradient 45 MB.
  EXPECT_LT(after.heap_bytes - before.heap_bytes, 32 * 1024);
  EXPECT_LT(after.resident_bytes - before.resident_bytes, 256 * 1024);
}

}  // namespace
}  // namespace plumbline
