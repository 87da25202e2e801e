#include "worker/trainer.hpp"

#include <mutex>
#include <utility>

#include "tests/worker/training/tiny_run.hpp"
#include "worker/checkpoint/checkpoint.hpp"
#include "worker/metrics.hpp"
#include "worker/model/flops.hpp"

namespace plumbline {
namespace {

/// What a rank holds after some steps.
struct Outcome {
  at::Tensor weights, state;  ///< all that is trained, and all of the optimizer's state
  std::vector<double> losses, norms;
  friend bool operator==(const Outcome& a, const Outcome& b) {
    return a.weights.equal(b.weights) && a.state.equal(b.state) && a.losses == b.losses && a.norms == b.norms;
  }
};

Outcome outcome_of(Trainer& trainer) {
  std::vector<at::Tensor> state;
  for (const OptimizerPart& part : trainer.optimizer().state())
    for (const auto& [name, tensor] : part.tensors) state.push_back(tensor.reshape({-1}));
  return {trainer.model().trained().flat().detach().clone(), at::cat(state), {}, {}};
}

class TrainerTest : public testing::Test {
 protected:
  /// Steps (first, last] on `ranks` ranks; from the start model, or from `from`. One outcome a rank.
  std::vector<Outcome> train(int ranks, std::int64_t first, std::int64_t last, const std::filesystem::path& from = {}) {
    std::vector<Outcome> outcomes(static_cast<std::size_t>(ranks));
    run_ranks(ranks, [&](Collective& collective) {
      auto model = run_.start_model();
      const References references = run_.references(*model, collective);
      if (run_.config.lora.rank > 0) {
        model->add_adapter(run_.config.lora);
        model->adapter()->initialize(run_.config.seed);
      }
      if (!from.empty()) load_trained(from, *model).value();
      auto trainer = Trainer::make(run_.config, run_.dataset, &references.train, std::move(model), collective).value();
      if (!from.empty()) load_optimizer(from, trainer->optimizer()).value();
      std::vector<double> losses, norms;
      for (std::int64_t step = first; step < last; ++step) {
        const StepReport report = trainer->step(step).value();
        losses.push_back(report.loss);
        norms.push_back(report.gradient_norm);
      }
      if (!save_to_.empty())
        write_checkpoint_parts(save_to_, collective.rank(), collective.size(),
                               {trainer->model(), trainer->optimizer(), *tokenizer_}, {})
            .value();
      Outcome outcome = outcome_of(*trainer);
      outcome.losses = std::move(losses);
      outcome.norms = std::move(norms);
      outcomes[static_cast<std::size_t>(collective.rank())] = std::move(outcome);
    });
    return outcomes;
  }

  TinyRun run_;
  std::unique_ptr<Tokenizer> tokenizer_ = make_tokenizer("byte").value();
  std::filesystem::path save_to_;
};

TEST_F(TrainerTest, TheSameBitsOnAnyNumberOfRanks) {
  const Outcome alone = train(1, 0, 5).front();
  EXPECT_TRUE(alone.weights.isfinite().all().item<bool>());
  EXPECT_FALSE(alone.weights.equal(run_.start_model()->parameters().flat())) << "training moved the weights";
  for (const double norm : alone.norms) EXPECT_GT(norm, run_.config.optimizer.clip_norm) << "clipping is at work";
  for (const int ranks : {2, 3, 4, 5, 7, 12})
    for (const Outcome& outcome : train(ranks, 0, 5)) EXPECT_TRUE(outcome == alone) << ranks << " ranks";
}

TEST_F(TrainerTest, Bf16GivesTheSameBitsOnAnyNumberOfRanksAndOtherOnesThanFp32) {
  const Outcome fp32 = train(1, 0, 3).front();
  run_.config.train.precision = "bf16";
  const Outcome alone = train(1, 0, 3).front();
  EXPECT_FALSE(alone.weights.equal(fp32.weights));
  EXPECT_NEAR(alone.losses.back(), fp32.losses.back(), 0.02 * fp32.losses.back());
  for (const int ranks : {2, 3, 5})
    for (const Outcome& outcome : train(ranks, 0, 3)) EXPECT_TRUE(outcome == alone) << ranks << " ranks";
}

TEST_F(TrainerTest, RecomputedActivationsGiveTheSameBits) {
  const Outcome kept = train(2, 0, 3).front();
  run_.config.train.activations = "recompute";
  EXPECT_TRUE(train(1, 0, 3).front() == kept);
}

TEST_F(TrainerTest, AdafactorGivesTheSameBitsOnAnyNumberOfRanksAndResumed) {
  run_.config.optimizer.name = "adafactor";
  run_.config.optimizer.weight_decay = 0.01;
  const Outcome alone = train(1, 0, 4).front();
  EXPECT_TRUE(alone.weights.isfinite().all().item<bool>());
  for (const int ranks : {2, 3, 5})
    for (const Outcome& outcome : train(ranks, 0, 4)) EXPECT_TRUE(outcome == alone) << ranks << " ranks";
  save_to_ = run_.folder.path() / "checkpoint";
  train(3, 0, 2);
  const auto saved = std::exchange(save_to_, {});
  const Outcome resumed = train(2, 2, 4, saved).front();
  EXPECT_TRUE(resumed.weights.equal(alone.weights));
  EXPECT_TRUE(resumed.state.equal(alone.state));
}

TEST_F(TrainerTest, AnAdapterGetsTheSameBitsOnAnyNumberOfRanksAndResumed) {
  run_.config.lora.rank = 3, run_.config.lora.dropout = 0.2;
  run_.config.lora.targets = {"q", "v", "o", "wi_0", "wo"};
  const Outcome alone = train(1, 0, 4).front();
  EXPECT_TRUE(alone.weights.isfinite().all().item<bool>());
  for (const int ranks : {2, 3})
    for (const Outcome& outcome : train(ranks, 0, 4)) EXPECT_TRUE(outcome == alone) << ranks << " ranks";
  save_to_ = run_.folder.path() / "checkpoint";
  train(3, 0, 2);
  const auto saved = std::exchange(save_to_, {});
  const Outcome resumed = train(2, 2, 4, saved).front();
  EXPECT_TRUE(resumed.weights.equal(alone.weights));
  EXPECT_TRUE(resumed.state.equal(alone.state));
  run_.config.lora.dropout = 0;
  EXPECT_FALSE(train(1, 0, 4).front() == alone) << "dropout before the adapters is at work";
}

TEST_F(TrainerTest, WithAnAdapterTheStartModelStaysAsItIs) {
  run_.config.lora.rank = 2;
  const auto collective = make_self_collective();
  auto model = run_.start_model();
  const References references = run_.references(*model, *collective);
  model->add_adapter(run_.config.lora);
  model->adapter()->initialize(run_.config.seed);
  const at::Tensor adapter = model->adapter()->parameters().flat().clone();
  auto trainer = Trainer::make(run_.config, run_.dataset, &references.train, std::move(model), *collective).value();
  for (std::int64_t step = 0; step < 3; ++step) trainer->step(step).value();
  EXPECT_TRUE(trainer->model().parameters().flat().equal(run_.start_model()->parameters().flat()));
  EXPECT_FALSE(trainer->model().adapter()->parameters().flat().equal(adapter));
  for (const auto& spec : trainer->model().parameters().specs())
    EXPECT_FALSE(trainer->model().parameters().get(spec.name).grad().defined()) << spec.name;
}

TEST_F(TrainerTest, EveryObjectiveGivesTheSameBitsOnAnyNumberOfRanks) {
  struct Choice {
    Objective polite, secret;  ///< of the two norms that have preferences
    const char* pair_tokens;
  };
  const Choice choices[] = {{Objective::kOrpo, Objective::kSimpo, "all"},
                            {Objective::kCpo, Objective::kUnlikelihood, "differing"},
                            {Objective::kIpo, Objective::kUnlikelihood, "all"},
                            {Objective::kDpo, Objective::kOrpo, "differing"}};
  std::vector<Outcome> seen;
  for (const Choice& choice : choices) {
    SCOPED_TRACE(to_string(choice.polite) + " " + to_string(choice.secret) + " " + choice.pair_tokens);
    NormTraining training;
    training.objective = choice.polite;
    training.pair_tokens = choice.pair_tokens;
    training.dpo_variant = "robust";
    training.label_smoothing = 0.1;
    training.dpo_positive_lambda = 5;
    run_.config.norms["polite"] = training;
    training.objective = choice.secret;
    training.unlikelihood_level = std::string(choice.pair_tokens) == "all" ? "sequence" : "token";
    run_.config.norms["no-secret"] = training;
    const Outcome alone = train(1, 0, 3).front();
    EXPECT_TRUE(alone.weights.isfinite().all().item<bool>());
    for (const int ranks : {3, 12})
      for (const Outcome& outcome : train(ranks, 0, 3)) EXPECT_TRUE(outcome == alone) << ranks << " ranks";
    for (const Outcome& other : seen) EXPECT_FALSE(other == alone) << "two settings train alike";
    seen.push_back(alone);
  }
}

/// Preferences, demonstrations alone, prohibitions beside preferences: most ranks lack a class, or a norm, or both.
TEST_F(TrainerTest, KtoGivesTheSameBitsThoughRanksHoldNoExampleOfAClass) {
  for (const char* name : {"polite", "mirror", "no-secret"}) run_.config.norms[name].objective = Objective::kKto;
  const GlobalBatch batch = run_.plan().at(Step(0));
  int without_desired = 0, without_undesired = 0;
  for (const Lane& lane : batch.lanes) {
    bool desired = false, undesired = false;
    for (const MicroBatch& micro : lane.micro_batches)
      for (const std::int64_t row : micro.rows) {
        desired |= run_.dataset.train().kind(row) != ExampleKind::kProhibition;
        undesired |= run_.dataset.train().kind(row) != ExampleKind::kDemonstration;
      }
    without_desired += desired ? 0 : 1;
    without_undesired += undesired ? 0 : 1;
  }
  EXPECT_GT(without_desired + without_undesired, 0) << "the case is there";
  const Outcome alone = train(1, 0, 4).front();
  EXPECT_TRUE(alone.weights.isfinite().all().item<bool>());
  EXPECT_FALSE(alone.weights.equal(run_.start_model()->parameters().flat()));
  for (const int ranks : {2, 3, 5, 12})
    for (const Outcome& outcome : train(ranks, 0, 4)) EXPECT_TRUE(outcome == alone) << ranks << " ranks";
}

/// The same on every rank, of the outputs that each norm trains on, and no other.
TEST_F(TrainerTest, ModelFlopsAreOfTheGlobalBatch) {
  const auto flops_of_step = [&](int ranks) {
    std::vector<StepReport> reports(static_cast<std::size_t>(ranks));
    run_ranks(ranks, [&](Collective& collective) {
      auto trainer = Trainer::make(run_.config, run_.dataset, nullptr, run_.start_model(), collective).value();
      reports[static_cast<std::size_t>(collective.rank())] = trainer->step(0).value();
    });
    return reports;
  };
  for (const char* name : {"polite", "mirror"}) run_.config.norms[name].objective = Objective::kSft;
  run_.config.norms["no-secret"].objective = Objective::kUnlikelihood;
  run_.config.workers.peak_gflops = 0.5;
  const Split& split = run_.dataset.train();
  double expected = 0;
  const GlobalBatch batch = run_.plan().at(Step(0));
  for (const Lane& lane : batch.lanes)
    for (const MicroBatch& micro : lane.micro_batches)
      for (const std::int64_t row : micro.rows) {
        std::vector<std::int64_t> outputs;
        if (split.length(row, Side::kDesired) > 0) outputs.push_back(std::min(split.length(row, Side::kDesired), 8));
        if (split.norm(row) == 2 && split.length(row, Side::kUndesired) > 0)
          outputs.push_back(std::min(split.length(row, Side::kUndesired), 8));
        if (!outputs.empty())
          expected += training_flops(run_.config.model, std::min(split.length(row, Side::kSource), 8), outputs);
      }
  for (const int ranks : {1, 3})
    for (const StepReport& report : flops_of_step(ranks)) {
      EXPECT_DOUBLE_EQ(report.model_flops, expected);
      EXPECT_DOUBLE_EQ(report.peak_flops_per_second, 0.5e9 * ranks);
    }
}

TEST_F(TrainerTest, MfuIsReportedWhereThePeakIsKnown) {
  StepReport report;
  report.seconds = 2, report.model_flops = 6e9;
  EXPECT_EQ(step_metrics(report, {}, {}).at("model_flops_per_second"), 3e9);
  EXPECT_FALSE(step_metrics(report, {}, {}).contains("mfu"));
  report.peak_flops_per_second = 12e9;
  EXPECT_EQ(step_metrics(report, {}, {}).at("mfu"), 0.25);
}

TEST_F(TrainerTest, KtosZIsTheMeanOverTheGlobalBatch) {
  for (const char* name : {"polite", "mirror", "no-secret"}) run_.config.norms[name].objective = Objective::kKto;
  run_.config.optimizer.warmup_steps = 0;
  const auto collective = make_self_collective();
  const References references = run_.references(*run_.start_model(), *collective);
  auto trainer = Trainer::make(run_.config, run_.dataset, &references.train, run_.start_model(), *collective).value();
  const Split& split = run_.dataset.train();
  const auto partners = partners_of(split, 3);
  const Plan plan = run_.plan();
  bool any_above_zero = false;
  for (std::int64_t step = 0; step < 4; ++step) {
    std::vector<double> sums(3, 0.0);
    const GlobalBatch batch = plan.at(Step(step));
    for (const Lane& lane : batch.lanes)
      for (const MicroBatch& micro : lane.micro_batches)
        for (const std::int64_t row : micro.rows) {
          const Batch one = make_mismatched_batch(split, {row}, partners, 8, 8, at::kCPU);
          sums[split.norm(row)] += static_cast<double>(score(trainer->model(), one).desired[0]) -
                                   static_cast<double>(references.train.at(row).mismatched);
        }
    const StepReport report = trainer->step(step).value();
    for (std::size_t n = 0; n < 3; ++n) {
      const NormTotals& t = report.totals[n];
      const double z = std::max(0.0, sums[n] / static_cast<double>(t.examples));
      EXPECT_NEAR(report.sums[n].kl / static_cast<double>(t.examples + t.preferences), z, 1e-5) << "step " << step;
      any_above_zero |= z > 0.01;
    }
  }
  EXPECT_TRUE(any_above_zero);
}

TEST_F(TrainerTest, ObjectivesWithoutAReferenceNeedNone) {
  for (const Objective objective : {Objective::kOrpo, Objective::kCpo, Objective::kSimpo}) {
    EXPECT_FALSE(needs_reference(objective));
    run_.config.norms["polite"].objective = objective;
    const auto collective = make_self_collective();
    auto trainer = Trainer::make(run_.config, run_.dataset, nullptr, run_.start_model(), *collective).value();
    EXPECT_TRUE(trainer->step(0).has_value());
  }
  EXPECT_TRUE(needs_reference(Objective::kDpo));
  EXPECT_TRUE(needs_reference(Objective::kIpo));
  EXPECT_TRUE(needs_reference(Objective::kKto));
}

TEST_F(TrainerTest, SavedAndResumedInTheMiddleTheSameBits) {
  const Outcome whole = train(2, 0, 6).front();
  save_to_ = run_.folder.path() / "checkpoint";
  const Outcome half = train(3, 0, 3).front();
  EXPECT_FALSE(half.weights.equal(whole.weights));
  const auto saved = save_to_;
  save_to_.clear();
  for (const int ranks : {1, 4}) {
    const Outcome resumed = train(ranks, 3, 6, saved).front();
    EXPECT_TRUE(resumed.weights.equal(whole.weights)) << ranks << " ranks";
    EXPECT_TRUE(resumed.state.equal(whole.state));
    EXPECT_EQ(resumed.losses, std::vector<double>(whole.losses.begin() + 3, whole.losses.end()));
  }
}

TEST_F(TrainerTest, DropoutIsAtWorkAndSeeded) {
  const Outcome with = train(1, 0, 2).front();
  run_.config.model.dropout_rate = 0;
  EXPECT_FALSE(train(1, 0, 2).front() == with);
  run_.config.model.dropout_rate = 0.1;
  EXPECT_TRUE(train(1, 0, 2).front() == with);
}

TEST_F(TrainerTest, TheReportCountsTheGlobalBatch) {
  StepReport of[2];
  run_ranks(2, [&](Collective& collective) {
    const References references = run_.references(*run_.start_model(), collective);
    auto trainer = Trainer::make(run_.config, run_.dataset, &references.train, run_.start_model(), collective).value();
    of[collective.rank()] = trainer->step(0).value();
  });
  const auto expected = run_.plan().at(Step(0));
  EXPECT_EQ(of[0].step, 1);
  EXPECT_EQ(of[0].source_tokens, expected.source_tokens);
  EXPECT_EQ(of[0].output_tokens, expected.output_tokens);
  EXPECT_DOUBLE_EQ(of[0].epoch, 24.0 / 40);
  EXPECT_EQ(of[0].loss, of[1].loss);
  for (std::size_t n = 0; n < 3; ++n) {
    EXPECT_GT(of[0].sums[n].loss, 0);
    EXPECT_EQ(of[0].totals[n].examples, expected.totals[n].examples);
  }
}

TEST_F(TrainerTest, ALossThatIsNotFiniteEndsTheRunAndLeavesTheWeights) {
  run_.config.optimizer.learning_rate = 1e30;
  run_.config.optimizer.warmup_steps = 0;
  const auto collective = make_self_collective();
  const References references = run_.references(*run_.start_model(), *collective);
  auto trainer = Trainer::make(run_.config, run_.dataset, &references.train, run_.start_model(), *collective).value();
  for (int step = 0; step < 20; ++step) {
    const at::Tensor before = trainer->model().parameters().flat().clone();
    const auto report = trainer->step(step);
    if (report.has_value()) continue;
    EXPECT_EQ(report.error().code, ErrorCode::kRun);
    EXPECT_NE(report.error().message.find("not finite at step"), std::string::npos);
    EXPECT_TRUE(trainer->model().parameters().flat().equal(before));
    return;
  }
  FAIL() << "a learning rate of 1e30 was survived";
}

TEST_F(TrainerTest, TheConfigurationOverridesTheDatasetsNorms) {
  NormTraining training;
  training.objective = Objective::kSft;
  training.weight = 3.0;
  run_.config.norms["polite"] = training;
  const auto norms = norm_objectives(run_.config, run_.dataset.info()).value();
  EXPECT_EQ(norms[0].objective, Objective::kSft);
  EXPECT_EQ(norms[0].weight, 3.0);
  EXPECT_EQ(norms[2].objective, Objective::kUnlikelihood);
  EXPECT_EQ(norms[0].beta, 0.1);
  run_.config.norms["polite"].objective = Objective::kSimpo;
  EXPECT_EQ(norm_objectives(run_.config, run_.dataset.info()).value()[0].beta, 2.0) << "the objective's own default";
  run_.config.norms["polite"].beta = 0.7;
  run_.config.norms["polite"].pair_tokens = "differing";
  run_.config.norms["polite"].dpo_variant = "robust";
  run_.config.norms["polite"].unlikelihood_level = "sequence";
  const NormObjective set = norm_objectives(run_.config, run_.dataset.info()).value()[0];
  EXPECT_EQ(set.beta, 0.7);
  EXPECT_EQ(set.pair_tokens, PairTokens::kDiffering);
  EXPECT_EQ(set.dpo_variant, DpoVariant::kRobust);
  EXPECT_EQ(set.unlikelihood_level, UnlikelihoodLevel::kSequence);
  run_.config.norms["politeness"] = training;
  const auto unknown = norm_objectives(run_.config, run_.dataset.info());
  ASSERT_TRUE(unknown.has_error());
  EXPECT_EQ(unknown.error().where, "norms.politeness");
}

TEST(AgreeTest, TheLowestFailedRanksErrorIsEverybodys) {
  std::vector<std::string> seen(4);
  run_ranks(4, [&](Collective& collective) {
    const int rank = collective.rank();
    const Status mine = rank >= 2 ? Status(data_error("rank " + std::to_string(rank), "here", "mend it")) : Status();
    const Status all = agree(collective, mine);
    seen[static_cast<std::size_t>(rank)] = all.has_error() ? to_string(all.error()) : "";
    EXPECT_TRUE(agree(collective, {}).has_value());
  });
  for (const auto& text : seen) EXPECT_EQ(text, to_string(data_error("rank 2", "here", "mend it")));
}

TEST(ShareBatchesTest, EveryRankGetsEveryBatch) {
  for (const int ranks : {1, 3, 4})
    run_ranks(ranks, [&](Collective& collective) {
      const auto all = share_batches(collective, 5, [&](std::size_t b) {
        EXPECT_EQ(b % static_cast<std::size_t>(collective.size()), static_cast<std::size_t>(collective.rank()));
        return Result<std::string>(std::string(b * 10, 'x'));
      });
      ASSERT_TRUE(all.has_value());
      for (std::size_t b = 0; b < 5; ++b) EXPECT_EQ(all.value()[b].size(), b * 10);
    });
}

}  // namespace
}  // namespace plumbline
