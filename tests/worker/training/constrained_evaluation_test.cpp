// Evaluation of a norm whose outputs can be held to their form while they are written.
#include "common/text/alignment.hpp"
#include "tests/worker/training/tiny_run.hpp"

namespace plumbline {
namespace {

/// A tiny run whose second norm asks for alignments of two short sequences.
struct AlignmentRun : TinyRun {
  AlignmentRun() {
    TinyDataset tiny(40);
    tiny.norms[1].rules = {};
    tiny.norms[1].rules.alignment = true;
    std::mt19937 random(2);
    for (auto* rows : {&tiny.train, &tiny.held_out})
      for (TokenizedExample& example : *rows) {
        if (example.norm != 1) continue;
        example.source.clear();
        for (const int length : {1 + static_cast<int>(random() % 3), 1 + static_cast<int>(random() % 3)}) {
          if (!example.source.empty()) example.source.push_back('|' + 3);
          for (int i = 0; i < length; ++i) example.source.push_back('A' + 3 + static_cast<std::int32_t>(random() % 4));
        }
        example.source.push_back(kEosToken);
      }
    dataset = tiny.write(folder.path() / "alignments");
    config.evaluate.max_new_tokens = 9;
  }
};

std::vector<EvaluationRow> evaluated(const AlignmentRun& run, Collective& collective) {
  const auto tokenizer = make_tokenizer("byte").value();
  HeldOut held_out{&run.config, &run.dataset, tokenizer.get(), norm_objectives(run.config, run.dataset.info()).value(),
                   nullptr};
  return evaluate_rows(*run.start_model(), held_out, collective).value();
}

TEST(ConstrainedEvaluation, WritesAValidAlignmentBesideEveryFreeOutputOfItsNorm) {
  const AlignmentRun run;
  const auto judge = make_rule_judge(run.dataset.info().norms[1].rules, "test").value();
  const auto rows = evaluated(run, *make_self_collective());
  int constrained = 0, free_and_invalid = 0;
  for (const EvaluationRow& row : rows) {
    const bool expected = row.norm == "mirror" && row.output.has_value();
    ASSERT_EQ(row.output_constrained.has_value(), expected) << row.norm;
    if (!expected) continue;
    ++constrained;
    EXPECT_TRUE(row.output_constrained_complete);
    const Verdict verdict = judge->judge(row.source, *row.output_constrained);
    EXPECT_FALSE(verdict.undesirable) << row.source << " → " << *row.output_constrained << ": " << verdict.reason;
    free_and_invalid += judge->judge(row.source, *row.output).undesirable ? 1 : 0;
  }
  EXPECT_EQ(constrained, run.config.evaluate.generations);
  EXPECT_EQ(free_and_invalid, constrained) << "an untrained model does not write alignments by itself";
}

TEST(ConstrainedEvaluation, IsCutWhereNoAlignmentFits) {
  AlignmentRun run;
  run.config.evaluate.max_new_tokens = 2;
  for (const EvaluationRow& row : evaluated(run, *make_self_collective()))
    if (row.output_constrained) {
      EXPECT_FALSE(row.output_constrained_complete);
      EXPECT_EQ(row.output_constrained->size(), 2u);
    }
}

TEST(ConstrainedEvaluation, DoesNotDependOnTheRanks) {
  const AlignmentRun run;
  const auto alone = evaluated(run, *make_self_collective());
  run_ranks(3, [&](Collective& collective) {
    const auto rows = evaluated(run, collective);
    ASSERT_EQ(rows.size(), alone.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].output, alone[i].output);
      EXPECT_EQ(rows[i].output_constrained, alone[i].output_constrained);
      EXPECT_EQ(rows[i].output_constrained_complete, alone[i].output_constrained_complete);
    }
  });
}

}  // namespace
}  // namespace plumbline
