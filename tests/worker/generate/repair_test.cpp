#include "worker/generate/repair.hpp"

#include "common/text/norm.hpp"
#include "tests/worker/golden.hpp"
#include "worker/generate/alignment_constraint.hpp"

namespace plumbline {
namespace {

std::unique_ptr<Tokenizer> byte_tokenizer() { return make_tokenizer("byte").value(); }

RuleSet repair_rules() {
  RuleSet rules;
  rules.alignment = true;
  return rules;
}

std::unique_ptr<AlignmentConstraint> repairs_for(const std::vector<std::string>& sources) {
  return AlignmentConstraint::make(repair_rules(), *byte_tokenizer(), sources).value();
}

std::size_t accepted(const std::string& source, const std::string& output, int max_new_tokens = 50) {
  return accepted_tokens(*repairs_for({source}), 0, byte_tokenizer()->encode(output), max_new_tokens);
}

TEST(AcceptedTokens, EndBeforeTheFirstMistake) {
  EXPECT_EQ(accepted("AC|AGC", "AA-GCC"), 7u) << "a valid alignment, its end included";
  EXPECT_EQ(accepted("AC|AGC", "AACC"), 3u) << "the second row's next residue is G";
  EXPECT_EQ(accepted("AC|AGC", "--"), 1u) << "a column of gaps alone";
  EXPECT_EQ(accepted("AC|AGC", "AA"), 2u) << "the end comes too early";
  EXPECT_EQ(accepted("AC|AGC", "AA-GCCA"), 6u) << "the end comes too late";
  EXPECT_EQ(accepted("AC|AGC", "G"), 0u);
}

TEST(Repair, KeepsWhatWasRightAndMendsTheRest) {
  const Golden golden("gated");
  const at::Tensor source = golden["source"];
  const std::string text = "MKVLA|MKA";
  const std::vector<std::string> written{"MMKKVA", "MMKKV-L-AA", "", "XX", "M-KMVK-"};
  std::vector<OutputKey> keys;
  std::vector<Generated> outputs;
  for (std::size_t i = 0; i < written.size(); ++i) {
    keys.push_back({static_cast<std::int64_t>(i) % source.size(0), i, 0});
    outputs.push_back({byte_tokenizer()->encode(written[i]), true});
  }
  const std::vector<std::string> sources(written.size(), text);
  const auto constraint = repairs_for(sources);
  const auto repaired = repair(*golden.model, source, source.ne(0), 24, keys, outputs, *constraint);
  const auto judge = make_rule_judge(repair_rules(), "test").value();
  for (std::size_t i = 0; i < written.size(); ++i) {
    ASSERT_TRUE(repaired[i].complete);
    const std::string output = byte_tokenizer()->decode(repaired[i].tokens);
    EXPECT_FALSE(judge->judge(text, output).undesirable) << written[i] << " → " << output;
    const std::size_t kept = accepted(text, written[i], 24);
    EXPECT_EQ(output.substr(0, kept), written[i].substr(0, kept));
    if (kept < outputs[i].tokens.size()) {
      EXPECT_NE(repaired[i].tokens[kept], outputs[i].tokens[kept]);
    }
  }
  EXPECT_EQ(repaired[1].tokens, outputs[1].tokens) << "nothing to repair";
}

TEST(Repair, OfNothingIsTheConstrainedOutput) {
  const Golden golden("gated");
  const at::Tensor source = golden["source"].narrow(0, 0, 1);
  const auto repairing = repairs_for({"GG|GTCA|C"}), writing = repairs_for({"GG|GTCA|C"});
  const auto repaired = repair(*golden.model, source, source.ne(0), 20, {OutputKey{}}, {Generated{}}, *repairing);
  const auto constrained = generate_greedy(*golden.model, source, source.ne(0), 20, writing.get());
  EXPECT_EQ(repaired[0].tokens, constrained[0].tokens);
}

}  // namespace
}  // namespace plumbline
