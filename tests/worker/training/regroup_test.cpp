// What an elastic group asks of training: a state that can be named and copied, and a trainer that goes on among other
// ranks with the same bits.
#include <gtest/gtest.h>

#include "tests/worker/training/tiny_run.hpp"
#include "worker/state_copy.hpp"

namespace plumbline {
namespace {

enum class What { kAdamW, kAdafactor, kLora };

class RegroupTest : public testing::TestWithParam<What> {
 protected:
  RegroupTest() {
    run_.config.train.global_batch = 12;
    if (GetParam() == What::kAdafactor) run_.config.optimizer.name = "adafactor";
    if (GetParam() == What::kAdafactor) run_.config.optimizer.weight_decay = 0;
    if (GetParam() == What::kLora) run_.config.lora.rank = 2, run_.config.lora.alpha = 4;
    auto alone = make_self_collective();
    const auto model = run_.start_model();
    references_.emplace(run_.references(*model, *alone));
  }
  [[nodiscard]] std::unique_ptr<Trainer> make(Collective& collective) const {
    auto model = run_.start_model();
    if (run_.config.lora.rank > 0) {
      model->add_adapter(run_.config.lora);
      model->adapter()->initialize(run_.config.seed);
    }
    return Trainer::make(run_.config, run_.dataset, &references_->train, std::move(model), collective).value();
  }
  static std::string digest(Trainer& trainer) { return state_digest(trainer.model().trained(), trainer.optimizer()); }
  static std::vector<at::Tensor> tensors_of(Trainer& trainer) {
    std::vector<at::Tensor> tensors{trainer.model().trained().flat()};
    for (const OptimizerPart& part : trainer.optimizer().state())
      for (const auto& [name, tensor] : part.tensors) tensors.push_back(tensor);
    return tensors;
  }

  TinyRun run_;
  std::optional<References> references_;
};

TEST_P(RegroupTest, TheDigestNamesEveryTensor) {
  const auto alone = make_self_collective();
  const auto trainer = make(*alone);
  ASSERT_TRUE(trainer->step(0).has_value());
  const std::string before = digest(*trainer);
  EXPECT_EQ(before.size(), 32u);
  EXPECT_EQ(digest(*trainer), before);
  const auto tensors = tensors_of(*trainer);
  EXPECT_GT(tensors.size(), 1u) << "the optimizer holds something";
  const at::NoGradGuard no_gradient;
  for (at::Tensor tensor : tensors) {
    at::Tensor last = tensor.reshape({-1}).narrow(0, tensor.numel() - 1, 1);
    const at::Tensor kept = last.clone();
    last.add_(1);
    EXPECT_NE(digest(*trainer), before);
    last.copy_(kept);
    EXPECT_EQ(digest(*trainer), before);
  }
}

TEST_P(RegroupTest, ACopyIsTheSourcesState) {
  std::vector<std::string> digests(3);
  std::string wanted;
  run_ranks(3, [&](Collective& collective) {
    const auto alone = make_self_collective();
    const auto trainer = make(*alone);
    for (int step = 0; step <= collective.rank(); ++step) ASSERT_TRUE(trainer->step(step).has_value());
    if (collective.rank() == 1) wanted = digest(*trainer);
    ASSERT_TRUE(copy_state(collective, 1, trainer->model().trained(), trainer->optimizer()).has_value());
    digests[static_cast<std::size_t>(collective.rank())] = digest(*trainer);
  });
  for (const std::string& held : digests) EXPECT_EQ(held, wanted);
}

/// Two ranks take two steps; one of them goes on as the first of three, with other shares of the lanes, for two more,
/// and alone for one.
TEST_P(RegroupTest, OtherRanksBetweenStepsMoveNoBit) {
  const auto alone = make_self_collective();
  const auto undisturbed = make(*alone);
  std::vector<double> losses;
  for (int step = 0; step < 5; ++step) losses.push_back(undisturbed->step(step).value().loss);

  std::vector<std::unique_ptr<Trainer>> trainers(3);
  const auto train = [&](int ranks, std::int64_t first, std::int64_t last) {
    auto group = make_thread_collectives(ranks);
    std::vector<std::thread> threads;
    for (auto& collective : group)
      threads.emplace_back([&, first, last] {
        at::set_num_threads(1);
        auto& trainer = trainers[static_cast<std::size_t>(collective->rank())];
        const LaneShares shares = ranks == 3 ? LaneShares{1, run_.config.train.lanes - 2, 1} : LaneShares();
        trainer = Trainer::regroup(trainer ? std::move(trainer) : make(*collective), *collective, shares);
        ASSERT_TRUE(copy_state(*collective, 0, trainer->model().trained(), trainer->optimizer()).has_value());
        for (std::int64_t step = first; step < last; ++step)
          EXPECT_EQ(trainer->step(step).value().loss, losses[static_cast<std::size_t>(step)]) << step;
      });
    for (auto& thread : threads) thread.join();
  };
  train(2, 0, 2);
  train(3, 2, 4);
  const std::string of_first = digest(*trainers[0]);
  for (const auto& trainer : trainers) EXPECT_EQ(digest(*trainer), of_first);
  train(1, 4, 5);
  EXPECT_EQ(digest(*trainers[0]), digest(*undisturbed));
}

INSTANTIATE_TEST_SUITE_P(Kinds, RegroupTest, testing::Values(What::kAdamW, What::kAdafactor, What::kLora));

}  // namespace
}  // namespace plumbline
