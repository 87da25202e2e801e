// What a training step costs: the quickstart's model and batch on one thread, and where the time goes.
#include <benchmark/benchmark.h>

#include <random>

#include "common/core/files.hpp"
#include "worker/numerics.hpp"
#include "worker/trainer.hpp"

namespace plumbline {
namespace {

/// Demonstrations the size of the quickstart's: two residue rows of about 18 and their alignment of about 40 tokens.
Dataset write_dataset(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  DatasetInfo info;
  info.name = "bench";
  info.norms.resize(1);
  info.norms[0].name = "copy";
  info.norms[0].objective = Objective::kSft;
  info.norms[0].rules.not_a_copy = true;
  std::mt19937 random(3);
  for (const char* split : {kTrainSplit, kHeldOutSplit}) {
    std::vector<TokenizedExample> rows(1024);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].id = {i, 2};
      for (unsigned length = 26 + random() % 24; length > 0; --length)
        rows[i].source.push_back(3 + 'A' + static_cast<std::int32_t>(random() % 20));
      rows[i].source.push_back(kEosToken);
      rows[i].desired = rows[i].source;
    }
    const std::string file = std::string(split) + "-00000.h5";
    write_shard(folder / file, {info.tokenizer, info.vocab_size, split}, rows).value();
    info.shards.push_back({file, split, static_cast<std::int64_t>(rows.size()), sha256_file(folder / file).value()});
  }
  write_file_atomically(folder / "dataset.json", to_json(info).dump(2)).value();
  return Dataset::open(folder).value();
}

void training_step(benchmark::State& state) {
  [[maybe_unused]] static const bool once = (fix_numerics(1), true);  // libtorch takes interop threads once
  const auto folder = std::filesystem::temp_directory_path() / ("plumbline-bench-" + to_hex(random_bytes(8)));
  const Dataset dataset = write_dataset(folder);
  RunConfig config;
  config.model.relative_attention_num_buckets = config.model.relative_attention_max_distance = 256;
  config.model.dropout_rate = static_cast<double>(state.range(0)) / 100;
  config.train.max_source_tokens = 64;
  config.train.max_output_tokens = 80;
  auto model = std::make_unique<T5>(config.model, at::kCPU);
  model->initialize(config.seed);
  const auto collective = make_self_collective();
  const auto trainer = Trainer::make(config, dataset, nullptr, std::move(model), *collective).value();
  std::int64_t step = 0, tokens = 0;
  PhaseSeconds sum;
  for (int warm_up = 0; warm_up < 2; ++warm_up) benchmark::DoNotOptimize(trainer->step(step++).value());
  for (auto _ : state) {
    const StepReport report = trainer->step(step++).value();
    tokens += report.source_tokens + report.output_tokens;
    sum.data += report.phases.data;
    sum.forward += report.phases.forward;
    sum.backward += report.phases.backward;
    sum.reduce += report.phases.reduce;
    sum.optimizer += report.phases.optimizer;
  }
  const auto mean_ms = [&](double seconds) {
    return benchmark::Counter(1e3 * seconds, benchmark::Counter::kAvgIterations);
  };
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsRate);
  state.counters["data_ms"] = mean_ms(sum.data);
  state.counters["forward_ms"] = mean_ms(sum.forward);
  state.counters["backward_ms"] = mean_ms(sum.backward);
  state.counters["reduce_ms"] = mean_ms(sum.reduce);
  state.counters["optimizer_ms"] = mean_ms(sum.optimizer);
  std::filesystem::remove_all(folder);
}
BENCHMARK(training_step)->ArgName("dropout_percent")->Arg(0)->Arg(10)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace plumbline
