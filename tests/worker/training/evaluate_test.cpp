#include "worker/evaluate.hpp"

#include <algorithm>
#include <cmath>

#include "tests/worker/training/tiny_run.hpp"
#include "worker/snapshot/encode.hpp"

namespace plumbline {
namespace {

class EvaluateTest : public testing::Test {
 protected:
  HeldOut held_out(const References& references) const {
    return {&run_.config, &run_.dataset, tokenizer_.get(), norm_objectives(run_.config, run_.dataset.info()).value(),
            &references.held_out};
  }
  TinyRun run_;
  std::unique_ptr<Tokenizer> tokenizer_ = make_tokenizer("byte").value();
};

TEST_F(EvaluateTest, HeldOutLossAndOutputsDoNotDependOnTheRanks) {
  Json expected_metrics;
  std::vector<EvaluationRow> expected_rows;
  for (const int ranks : {1, 2, 4}) {
    run_ranks(ranks, [&](Collective& collective) {
      const auto model = run_.start_model();
      const auto references = run_.references(*model, collective);
      const auto metrics = held_out_metrics(*model, held_out(references), collective).value();
      const auto rows = evaluate_rows(*model, held_out(references), collective).value();
      if (collective.rank() != 0) return;
      if (ranks == 1) {
        expected_metrics = metrics;
        expected_rows = rows;
        return;
      }
      EXPECT_EQ(metrics, expected_metrics) << ranks << " ranks";
      ASSERT_EQ(rows.size(), expected_rows.size());
      for (std::size_t i = 0; i < rows.size(); ++i) {
        EXPECT_EQ(rows[i].row, expected_rows[i].row);
        EXPECT_EQ(rows[i].output, expected_rows[i].output);
        EXPECT_EQ(rows[i].desired_log_prob, expected_rows[i].desired_log_prob);
        EXPECT_EQ(rows[i].undesired_log_prob, expected_rows[i].undesired_log_prob);
      }
    });
  }
  EXPECT_EQ(expected_metrics.size(), 3u);
  // The start model is its own reference, up to fp32 in batches of other sizes.
  EXPECT_NEAR(expected_metrics["polite"]["rewards/margins"].get<double>(), 0.0, 1e-5);
  EXPECT_TRUE(expected_metrics["polite"].contains("rewards/accuracies"));
  EXPECT_FALSE(expected_metrics["mirror"].contains("rewards/margins"));
  EXPECT_FALSE(expected_metrics["no-secret"].contains("rewards/margins"));
  EXPECT_TRUE(expected_metrics["mirror"].contains("nll_loss"));
  std::size_t generated = 0;
  for (std::size_t i = 0; i < expected_rows.size(); ++i) {
    const EvaluationRow& row = expected_rows[i];
    if (i > 0) {
      EXPECT_GT(row.row, expected_rows[i - 1].row);
    }
    generated += row.output.has_value() ? 1 : 0;
    EXPECT_EQ(row.desired.has_value(), row.desired_log_prob.has_value());
    EXPECT_EQ(row.undesired.has_value(), row.undesired_log_prob.has_value());
  }
  EXPECT_EQ(expected_rows.size(), 18u);
  EXPECT_EQ(generated, 12u);
}

TEST_F(EvaluateTest, JudgedOutputsAreThoseOfOtherExamplesAndDoNotDependOnTheRanks) {
  run_.config.evaluate.judged = 3;
  const HeldOut held{&run_.config, &run_.dataset, tokenizer_.get(),
                     norm_objectives(run_.config, run_.dataset.info()).value(), nullptr};
  const auto rows = judged_rows(held);
  EXPECT_EQ(rows.size(), 9u);
  Json expected;
  std::vector<EvaluationRow> written;
  for (const int ranks : {1, 2, 4})
    run_ranks(ranks, [&](Collective& collective) {
      const auto model = run_.start_model();
      const Json metrics = judged_metrics(*model, held, collective).value();
      const auto reported = evaluate_rows(*model, held, collective).value();
      if (collective.rank() != 0) return;
      if (ranks == 1) expected = metrics, written = reported;
      EXPECT_EQ(metrics, expected) << ranks << " ranks";
    });
  for (const EvaluationRow& row : written)
    if (row.output) {
      EXPECT_EQ(std::find(rows.begin(), rows.end(), row.row), rows.end());
    }
  ASSERT_EQ(expected.size(), 3u);
  for (const auto& [name, numbers] : expected.items()) {
    const double rate = numbers.at("undesirable_rate");
    EXPECT_NEAR(rate * 3, std::round(rate * 3), 1e-12) << "a share of three outputs";
  }
  EXPECT_TRUE(expected.at("polite").contains("desired_score"));

  // The same outputs, judged here.
  const auto model = run_.start_model();
  run_.config.evaluate.generations = 8;  // all there are
  const auto all = evaluate_rows(*model, held, *make_self_collective()).value();
  for (const auto& norm : run_.dataset.info().norms) {
    const auto judge = make_judge(norm, "").value();
    int undesirable = 0;
    for (const EvaluationRow& row : all)
      if (row.norm == norm.name && std::find(rows.begin(), rows.end(), row.row) != rows.end())
        undesirable += judge->judge(row.source, *row.output).undesirable ? 1 : 0;
    EXPECT_DOUBLE_EQ(expected.at(norm.name).at("undesirable_rate"), undesirable / 3.0);
  }
  run_.config.evaluate.judged = 0;
  EXPECT_TRUE(judged_metrics(*model, held, *make_self_collective()).value().empty());
}

TEST_F(EvaluateTest, KtosHeldOutMetricsDoNotDependOnTheRanks) {
  for (const char* name : {"mirror", "no-secret"}) run_.config.norms[name].objective = Objective::kKto;
  Json expected;
  for (const int ranks : {1, 3, 4})
    run_ranks(ranks, [&](Collective& collective) {
      const auto references = run_.references(*run_.start_model(), collective);
      const auto model = run_.start_model();
      {
        const at::NoGradGuard no_grad;
        model->parameters().flat().mul_(1.1);  // It has moved from its reference.
      }
      const auto metrics = held_out_metrics(*model, held_out(references), collective).value();
      if (collective.rank() != 0) return;
      if (ranks == 1) expected = metrics;
      EXPECT_EQ(metrics, expected) << ranks << " ranks";
    });
  EXPECT_FALSE(expected["polite"].contains("kl"));
  for (const char* key : {"loss", "kl", "logps/chosen", "rewards/chosen", "rewards/rejected", "rewards/margins"})
    EXPECT_TRUE(expected["no-secret"].contains(key) && expected["no-secret"][key].is_number()) << key;
  EXPECT_TRUE(expected["mirror"].contains("rewards/chosen"));
  EXPECT_FALSE(expected["mirror"].contains("rewards/rejected")) << "it has no undesired outputs";
  EXPECT_FALSE(expected["no-secret"].contains("rewards/accuracies"));
}

TEST_F(EvaluateTest, SnapshotPartsMakeTheSameVectorsOnAnyNumberOfRanks) {
  const auto model = run_.start_model();
  const ProbeSet probe{&run_.dataset.held_out(), probe_rows(run_.dataset.held_out(), 3, 10, 5), 4, 8};
  const auto merged = [&](int world) {
    std::map<std::int64_t, std::vector<float>> by_index;
    for (int rank = 0; rank < world; ++rank) {
      const Snapshot part = encode_probe_part(*model, probe, Step(3), rank, world, at::kCPU);
      EXPECT_EQ(part.dimension, 16);
      EXPECT_EQ(part.attributes.size(), 1u);
      for (std::size_t i = 0; i < part.rows(); ++i) {
        const auto row = probe.rows[static_cast<std::size_t>(part.probe_index[i])];
        EXPECT_EQ(part.ids[i], run_.dataset.held_out().id(row));
        EXPECT_EQ(part.norms[i], run_.dataset.held_out().norm(row));
        EXPECT_GE(part.attributes.at("root_length")[i], 10);
        EXPECT_TRUE(by_index
                        .emplace(part.probe_index[i],
                                 std::vector<float>(part.vectors.begin() + static_cast<std::ptrdiff_t>(16 * i),
                                                    part.vectors.begin() + static_cast<std::ptrdiff_t>(16 * (i + 1))))
                        .second);
      }
    }
    return by_index;
  };
  const auto alone = merged(1);
  EXPECT_EQ(alone.size(), 10u);
  for (const int world : {2, 3, 5}) EXPECT_EQ(merged(world), alone) << world << " ranks";
}

}  // namespace
}  // namespace plumbline
