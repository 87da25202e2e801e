// What bit-equality costs: summing 12 lanes along the fixed tree on one rank, beside a running sum of the same lanes.
#include <benchmark/benchmark.h>

#include "worker/gradient/tree_reduce.hpp"

namespace plumbline {
namespace {

constexpr int kLanes = 12;

void fixed_tree(benchmark::State& state) {
  at::set_num_threads(1);
  const std::int64_t elements = state.range(0);
  const at::Tensor lane = at::ones({elements});
  LaneAccumulator accumulator({0, kLanes}, kLanes, elements, at::TensorOptions(at::kFloat));
  for (auto _ : state) {
    accumulator.reset();
    for (int i = 0; i < kLanes; ++i) {
      accumulator.next_lane().add_(lane);
      accumulator.finish_lane();
    }
    benchmark::DoNotOptimize(accumulator.partials().front().const_data_ptr());
  }
  state.SetBytesProcessed(state.iterations() * kLanes * elements * 4);
}

void running_sum(benchmark::State& state) {
  at::set_num_threads(1);
  const std::int64_t elements = state.range(0);
  const at::Tensor lane = at::ones({elements});
  at::Tensor sum = at::zeros({elements});
  for (auto _ : state) {
    sum.zero_();
    for (int i = 0; i < kLanes; ++i) sum.add_(lane);
    benchmark::DoNotOptimize(sum.const_data_ptr());
  }
  state.SetBytesProcessed(state.iterations() * kLanes * elements * 4);
}

BENCHMARK(fixed_tree)->Arg(1 << 16)->Arg(1 << 20)->Arg(1 << 23)->Unit(benchmark::kMicrosecond);
BENCHMARK(running_sum)->Arg(1 << 16)->Arg(1 << 20)->Arg(1 << 23)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace plumbline
