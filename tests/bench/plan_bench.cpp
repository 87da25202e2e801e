// What the plan costs each step: it is computed by every worker before the step's first example is read.
#include <benchmark/benchmark.h>

#include "common/core/files.hpp"
#include "common/data/plan.hpp"
#include "common/data/used_sides.hpp"
#include "tests/common/plan/tiny_dataset.hpp"

namespace plumbline {
namespace {

void keyed_permutation(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0));
  const KeyedPermutation permutation(1, 0, size);
  std::uint64_t position = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(permutation(position));
    position = position + 1 == size ? 0 : position + 1;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(keyed_permutation)->Arg(1'000)->Arg(1'000'000)->Arg(1'000'000'000);

/// A step of `state.range(0)` examples in 12 lanes.
void plan_of_a_step(benchmark::State& state) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("plumbline-bench-" + to_hex(random_bytes(8)));
  const Dataset dataset = TinyDataset(20'000).write(folder);
  TrainConfig train;
  train.global_batch = static_cast<int>(state.range(0));
  train.lanes = 12;
  const Plan plan = Plan::make(train, 1, dataset.train(), objectives_of({}, dataset.info())).value();
  std::int64_t step = 0;
  for (auto _ : state) benchmark::DoNotOptimize(plan.at(Step(step++)));
  state.SetItemsProcessed(state.iterations() * state.range(0));
  std::filesystem::remove_all(folder);
}
BENCHMARK(plan_of_a_step)->Arg(96)->Arg(1536)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace plumbline
