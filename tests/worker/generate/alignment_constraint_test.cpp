#include "worker/generate/alignment_constraint.hpp"

#include <random>

#include "common/text/alignment.hpp"
#include "tests/worker/golden.hpp"
#include "worker/generate/generate.hpp"

namespace plumbline {
namespace {

RuleSet alignment_rules(bool no_staggered_gaps = false) {
  RuleSet rules;
  rules.alignment = true;
  rules.no_staggered_gaps = no_staggered_gaps;
  return rules;
}

std::unique_ptr<Tokenizer> bytes() { return make_tokenizer("byte").value(); }

std::unique_ptr<AlignmentConstraint> constraint_of(const std::vector<std::string>& sources,
                                                   const RuleSet& rules = alignment_rules()) {
  return AlignmentConstraint::make(rules, *bytes(), sources).value();
}

/// What may come next, as text; the end is '$'.
std::string open(const AlignmentConstraint& constraint, int budget) {
  std::vector<std::int32_t> tokens;
  constraint.allowed(0, budget, tokens);
  std::string text;
  for (const std::int32_t token : tokens) text += token == kEosToken ? '$' : static_cast<char>(token - 3);
  return text;
}

void write(AlignmentConstraint& constraint, const std::string& text) {
  for (const char c : text) constraint.written(0, c + 3);
}

TEST(AlignmentConstraint, AColumnTakesOneCharacterOfEachRow) {
  const auto constraint = constraint_of({"AC|G"});
  EXPECT_EQ(open(*constraint, 100), "-A");
  write(*constraint, "A");
  EXPECT_EQ(open(*constraint, 100), "-G");
  write(*constraint, "-");
  EXPECT_EQ(open(*constraint, 100), "-C");
  write(*constraint, "-");
  EXPECT_EQ(open(*constraint, 100), "G") << "a column of gaps alone";
  write(*constraint, "G");
  EXPECT_EQ(open(*constraint, 100), "C") << "only the first row has residues left";
  write(*constraint, "C");
  EXPECT_EQ(open(*constraint, 100), "-") << "the second row is used up";
  write(*constraint, "-");
  EXPECT_EQ(open(*constraint, 100), "$");
}

TEST(AlignmentConstraint, AGapIsRefusedWhereTheRestWouldNoLongerFit) {
  const auto constraint = constraint_of({"AC|GT"});
  EXPECT_EQ(open(*constraint, 7), "-A") << "one gap in each row: three columns of two, and the end";
  EXPECT_EQ(open(*constraint, 6), "A");
  EXPECT_EQ(open(*constraint, 5), "A") << "the shortest alignment";
  write(*constraint, "A");
  EXPECT_EQ(open(*constraint, 6), "-G");
  EXPECT_EQ(open(*constraint, 5), "G");
}

TEST(AlignmentConstraint, AGapInAShortRowCostsNothing) {
  const auto constraint = constraint_of({"ACD|G"});
  write(*constraint, "A");
  EXPECT_EQ(open(*constraint, 6), "-G") << "two columns are needed for the first row in any case";
}

TEST(AlignmentConstraint, WhatDoesNotFitIsWrittenAsFarAsItGoes) {
  const auto constraint = constraint_of({"ACD|G"});
  EXPECT_EQ(open(*constraint, 1), "A");
  write(*constraint, "AG");
  EXPECT_EQ(open(*constraint, 1), "C");
  write(*constraint, "C");
  EXPECT_EQ(open(*constraint, 1), "-") << "no residue is left to write here, though the rest cannot fit";
}

TEST(AlignmentConstraint, SourcesWithoutResiduesEndAtOnce) {
  for (const char* source : {"", "|", "||"}) EXPECT_EQ(open(*constraint_of({source}), 9), "$") << source;
  const auto one_empty = constraint_of({"|A|"});
  EXPECT_EQ(open(*one_empty, 9), "-");
  write(*one_empty, "-");
  EXPECT_EQ(open(*one_empty, 9), "A");
}

TEST(AlignmentConstraint, ASingleRowHasNoGaps) {
  const auto constraint = constraint_of({"ACG"});
  EXPECT_EQ(open(*constraint, 50), "A");
}

TEST(AlignmentConstraint, GapsOfASourceAreNoResidues) {
  const auto constraint = constraint_of({"-A-|C"});
  EXPECT_EQ(open(*constraint, 50), "-A");
}

TEST(AlignmentConstraint, OutputsKeepTheirStatesApart) {
  const auto constraint = constraint_of({"AC|G", "TT|C"});
  constraint->written(0, 'A' + 3);
  std::vector<std::int32_t> tokens;
  constraint->allowed(1, 50, tokens);
  EXPECT_EQ(tokens, (std::vector<std::int32_t>{'-' + 3, 'T' + 3}));
}

TEST(AlignmentConstraint, AGapRightBesideTheOtherRowsIsRefused) {
  const auto constraint = constraint_of({"ACD|GTK"}, alignment_rules(true));
  write(*constraint, "A-");
  EXPECT_EQ(open(*constraint, 50), "C") << "a gap here would leave the second row's residue alone in its column";
  write(*constraint, "C");
  EXPECT_EQ(open(*constraint, 50), "-G") << "the same row's gap goes on";
  write(*constraint, "G");
  EXPECT_EQ(open(*constraint, 50), "-D");
  write(*constraint, "D");
  EXPECT_EQ(open(*constraint, 50), "T") << "with the first row used up, the second's residues would follow alone";
  write(*constraint, "T");
  EXPECT_EQ(open(*constraint, 50), "-");
}

TEST(AlignmentConstraint, AGapThatWouldForceAnotherIsRefused) {
  const auto constraint = constraint_of({"ACD|G"}, alignment_rules(true));
  EXPECT_EQ(open(*constraint, 50), "A") << "the second row's only residue alone, and then the first row's alone";
  write(*constraint, "A");
  EXPECT_EQ(open(*constraint, 50), "-G");
}

/// A tokenizer that joins letters: no single character has a token of its own.
class Pairs final : public Tokenizer {
 public:
  [[nodiscard]] std::string name() const override { return "pairs"; }
  [[nodiscard]] std::int32_t vocab_size() const override { return 8; }
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view) const override { return {4, 5, kEosToken}; }
  [[nodiscard]] std::string decode(std::span<const std::int32_t>) const override { return ""; }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> hf_files() const override { return {}; }
};

/// A tokenizer of words: a single character is a token that brings a space along.
class Words final : public Tokenizer {
 public:
  [[nodiscard]] std::string name() const override { return "words"; }
  [[nodiscard]] std::int32_t vocab_size() const override { return 8; }
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view) const override { return {4, kEosToken}; }
  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids) const override {
    return ids.size() == 1 ? "A" : "A A";
  }
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> hf_files() const override { return {}; }
};

TEST(AlignmentConstraint, RefusesWhatItCannotKeep) {
  const auto no_character = AlignmentConstraint::make(alignment_rules(), Pairs(), {"A|C"});
  ASSERT_FALSE(no_character.has_value());
  EXPECT_EQ(no_character.error().code, ErrorCode::kData);
  EXPECT_NE(no_character.error().message.find("\"pairs\" has no token"), std::string::npos);
  const auto words = AlignmentConstraint::make(alignment_rules(), Words(), {"A|C"});
  ASSERT_FALSE(words.has_value()) << "a character alone is a word";
  EXPECT_NE(words.error().message.find("\"words\" has no token"), std::string::npos);
  RuleSet rows = alignment_rules();
  rows.target_encoding = "rows";
  const auto unknown = AlignmentConstraint::make(rows, *bytes(), {"A|C"});
  ASSERT_FALSE(unknown.has_value());
  EXPECT_NE(unknown.error().message.find("\"rows\""), std::string::npos);
}

/// Random sources and a random choice among what is open: whatever a model might prefer.
TEST(AlignmentConstraint, EveryOutputIsAnAlignmentWhateverIsPreferred) {
  const auto encoding = make_target_encoding("spaces").value();
  std::mt19937 random(3);
  for (int trial = 0; trial < 6000; ++trial) {
    const bool no_staggered_gaps = trial % 2 == 1;  // of two rows
    const RuleSet rules = alignment_rules(no_staggered_gaps);
    const auto judge = make_rule_judge(rules, "test").value();
    Rows rows(no_staggered_gaps ? 2 : 1 + random() % 4);
    std::size_t longest = 0;
    for (std::string& row : rows) {
      row.resize(random() % 9);
      for (char& c : row) c = static_cast<char>('A' + random() % 4);
      longest = std::max(longest, row.size());
    }
    const std::string source = make_source_encoding("concat").value()->encode(rows);
    const int shortest = static_cast<int>(rows.size() * longest) + 1;
    const int budget = shortest + static_cast<int>(random() % 12);
    const auto constraint = constraint_of({source}, rules);
    const unsigned preference = random() % 3;  // any, the lowest id (gaps), the highest (residues)
    std::vector<std::int32_t> written, tokens;
    while (static_cast<int>(written.size()) < budget && (written.empty() || written.back() != kEosToken)) {
      tokens.clear();
      constraint->allowed(0, budget - static_cast<int>(written.size()), tokens);
      ASSERT_TRUE(std::is_sorted(tokens.begin(), tokens.end()));
      written.push_back(preference == 0   ? tokens[random() % tokens.size()]
                        : preference == 1 ? tokens.front()
                                          : tokens.back());
      constraint->written(0, written.back());
    }
    ASSERT_EQ(written.back(), kEosToken) << source << " within " << budget;
    const std::string output = bytes()->decode(written);
    const Verdict verdict = judge->judge(source, output);
    ASSERT_FALSE(verdict.undesirable) << source << " → " << output << ": " << verdict.reason;
    const Rows aligned = encoding->decode(output, rows.size()).value();
    for (std::size_t column = 0; column < aligned[0].size(); ++column)
      ASSERT_TRUE(std::any_of(aligned.begin(), aligned.end(), [&](const auto& row) { return row[column] != '-'; }));
    if (budget == shortest) {
      ASSERT_EQ(output.size(), rows.size() * longest);
    }
  }
}

TEST(AlignmentConstraint, AModelThatKnowsNothingOfAlignmentWritesValidOnes) {
  const Golden golden("gated");
  const auto judge = make_rule_judge(alignment_rules(), "test").value();
  const at::Tensor source = golden["source"];
  std::vector<std::string> sources;
  std::vector<OutputKey> keys;
  for (std::int64_t row = 0; row < source.size(0); ++row)
    for (std::uint64_t sample = 0; sample < 3; ++sample) {
      sources.push_back(row % 2 == 0 ? "MKVLA|MKA" : "GG|GTCA|C");
      keys.push_back({row, static_cast<std::uint64_t>(row), sample});
    }
  for (const double temperature : {0.0, 1.0, 5.0}) {
    Decoding decoding;
    decoding.max_new_tokens = 16;
    decoding.temperature = temperature;
    const auto constraint = constraint_of(sources);
    const auto outputs = generate(*golden.model, source, source.ne(0), decoding, keys, constraint.get());
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      EXPECT_TRUE(outputs[o].complete);
      const std::string text = bytes()->decode(outputs[o].tokens);
      EXPECT_FALSE(judge->judge(sources[o], text).undesirable) << sources[o] << " → " << text;
    }
  }
}

}  // namespace
}  // namespace plumbline
