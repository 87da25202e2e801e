// Training, evaluation and snapshots on GPUs; skipped where there is none.
#include "tests/worker/gpu_ranks.hpp"
#include "tests/worker/training/tiny_run.hpp"
#include "worker/snapshot/encode.hpp"

namespace plumbline {
namespace {

class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (num_gpus() == 0) GTEST_SKIP() << "no GPU in this machine";
    // Read by cuBLAS at its first use. Other tests of this program have set the threads, once and for all.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 1);
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  }
  void TearDown() override { at::globalContext().setDeterministicAlgorithms(false, false); }

  struct Outcome {
    at::Tensor weights;  ///< on the host
    std::vector<double> losses;
  };
  Outcome train(Collective& collective, at::Device device, std::int64_t steps) const {
    auto model = run_.start_model(device);
    const References references = run_.references(*model, collective);
    const auto trainer =
        Trainer::make(run_.config, run_.dataset, &references.train, std::move(model), collective).value();
    Outcome outcome;
    for (std::int64_t step = 0; step < steps; ++step) outcome.losses.push_back(trainer->step(step).value().loss);
    outcome.weights = trainer->model().parameters().flat().detach().to(at::kCPU);
    return outcome;
  }
  TinyRun run_;
};

TEST_F(GpuTest, TheSameBitsOnAnyNumberOfGpus) {
  const auto self = make_self_collective();
  const Outcome alone = train(*self, at::Device(at::kCUDA, 0), 5);
  EXPECT_TRUE(alone.weights.isfinite().all().item<bool>());
  for (int size = 1; size <= num_gpus(); ++size) {
    std::vector<Outcome> outcomes(static_cast<std::size_t>(size));
    run_gpu_ranks(size, [&](Collective& collective, at::Device device) {
      outcomes[static_cast<std::size_t>(collective.rank())] = train(collective, device, 5);
    });
    for (const Outcome& outcome : outcomes) {
      EXPECT_TRUE(outcome.weights.equal(alone.weights)) << size << " GPUs";
      EXPECT_EQ(outcome.losses, alone.losses) << size << " GPUs";
    }
  }
}

TEST_F(GpuTest, WithoutDropoutTheLossIsTheCpus) {
  run_.config.model.dropout_rate = 0;
  const auto self = make_self_collective();
  const auto gpu = train(*self, at::Device(at::kCUDA, 0), 3).losses, cpu = train(*self, at::kCPU, 3).losses;
  for (std::size_t i = 0; i < cpu.size(); ++i) EXPECT_NEAR(gpu[i], cpu[i], 1e-3 * cpu[i]) << "step " << i + 1;
}

TEST_F(GpuTest, EvaluatesAndTakesSnapshotsAsTheCpuDoes) {
  const auto self = make_self_collective();
  const auto tokenizer = make_tokenizer("byte").value();
  const ProbeSet probe{&run_.dataset.held_out(), probe_rows(run_.dataset.held_out(), 3, 10, 5), 4, 8};
  const auto observe = [&](at::Device device) {
    const auto model = run_.start_model(device);
    const References references = run_.references(*model, *self);
    const HeldOut held_out{&run_.config, &run_.dataset, tokenizer.get(),
                           norm_objectives(run_.config, run_.dataset.info()).value(), &references.held_out};
    return std::pair(evaluate_rows(*model, held_out, *self).value(),
                     encode_probe_part(*model, probe, Step(0), 0, 1, device).vectors);
  };
  const auto [gpu_rows, gpu_vectors] = observe(at::Device(at::kCUDA, 0));
  const auto [cpu_rows, cpu_vectors] = observe(at::kCPU);
  ASSERT_EQ(gpu_rows.size(), cpu_rows.size());
  for (std::size_t i = 0; i < cpu_rows.size(); ++i) {
    if (!cpu_rows[i].desired_log_prob) continue;
    EXPECT_NEAR(*gpu_rows[i].desired_log_prob, *cpu_rows[i].desired_log_prob, 1e-3);
  }
  ASSERT_EQ(gpu_vectors.size(), cpu_vectors.size());
  for (std::size_t i = 0; i < cpu_vectors.size(); ++i) EXPECT_NEAR(gpu_vectors[i], cpu_vectors[i], 1e-3);
}

}  // namespace
}  // namespace plumbline
