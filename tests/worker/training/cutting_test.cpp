// One global batch, cut into other lanes and micro-batches: the same gradient up to the order of its sums.
#include "tests/worker/training/tiny_run.hpp"

namespace plumbline {
namespace {

class CuttingTest : public testing::TestWithParam<Objective> {
 protected:
  struct Cut {
    int lanes;
    std::int64_t micro_batch_tokens;
  };
  struct Computed {
    at::Tensor gradient;  ///< fp64
    double loss = 0, norm = 0;
    std::size_t micro_batches = 0;
  };

  CuttingTest() {
    for (const char* name : {"polite", "mirror", "no-secret"}) {
      NormTraining& training = run_.config.norms[name];
      training.objective = GetParam();
      training.sft_weight = 0.5;
    }
    run_.config.model.dropout_rate = 0;  // A mask is of a place in a lane, so another cut has others.
    run_.config.optimizer.clip_norm = 0;
  }

  /// The first step's gradient. AdamW's first average is its (1 - beta1)-fold.
  Computed first_step(Cut cut) {
    run_.config.train.lanes = cut.lanes;
    run_.config.train.micro_batch_tokens = cut.micro_batch_tokens;
    const auto collective = make_self_collective();
    auto model = run_.start_model();
    const References references = run_.references(*model, *collective);
    {
      const at::NoGradGuard no_grad;  // Where no objective's loss or z is at its first value.
      model->parameters().flat().mul_(1.05);
    }
    auto trainer = Trainer::make(run_.config, run_.dataset, &references.train, std::move(model), *collective).value();
    const StepReport report = trainer->step(0).value();
    Computed computed;
    std::vector<at::Tensor> means;  // of one gradient
    const auto state = trainer->optimizer().state();
    for (const auto& [name, tensor] : state.front().tensors) means.push_back(tensor.flatten());
    computed.gradient = at::cat(means).to(at::kDouble) / (1 - beta1_of(run_.config.optimizer));
    computed.loss = report.loss;
    computed.norm = report.gradient_norm;
    const GlobalBatch batch = run_.plan().at(Step(0));
    for (const Lane& lane : batch.lanes) computed.micro_batches += lane.micro_batches.size();
    return computed;
  }

  TinyRun run_;
};
INSTANTIATE_TEST_SUITE_P(EveryObjective, CuttingTest,
                         testing::Values(Objective::kSft, Objective::kUnlikelihood, Objective::kDpo, Objective::kIpo,
                                         Objective::kKto, Objective::kOrpo, Objective::kCpo, Objective::kSimpo),
                         [](const auto& chosen) { return std::string(to_string(chosen.param)); });

TEST_P(CuttingTest, GradientsAgreeWithinARelative1e6) {
  const Computed whole = first_step({1, 100'000});
  EXPECT_EQ(whole.micro_batches, 1u);
  EXPECT_GT(whole.norm, 1e-3);
  std::size_t most = 0;
  for (const Cut cut : {Cut{1, 60}, Cut{2, 100'000}, Cut{3, 40}, Cut{12, 40}, Cut{24, 1}}) {
    const Computed parts = first_step(cut);
    const double difference = ((parts.gradient - whole.gradient).norm() / whole.gradient.norm()).item<double>();
    // Seen: 2e-7 where the micro-batches are as large, 8e-7 at most (simpo) where each row is computed by itself.
    EXPECT_LT(difference, 1e-6) << cut.lanes << " lanes of " << cut.micro_batch_tokens << " tokens";
    EXPECT_NEAR(parts.loss, whole.loss, 1e-6 * std::abs(whole.loss));
    most = std::max(most, parts.micro_batches);
  }
  EXPECT_EQ(most, 24u) << "a row a micro-batch";
}

}  // namespace
}  // namespace plumbline
