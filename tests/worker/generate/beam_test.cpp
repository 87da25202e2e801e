#include "worker/generate/beam.hpp"

#include <cmath>

#include "tests/worker/golden.hpp"
#include "worker/generate/generate.hpp"

namespace plumbline {
namespace {

BeamSearch beams_of(int beams, int max_new_tokens) {
  BeamSearch search;
  search.beams = beams;
  search.max_new_tokens = max_new_tokens;
  return search;
}

class BeamTest : public testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] std::vector<Hypothesis> write(const BeamSearch& search) const {
    return generate_beams(*golden_.model, golden_["source"], golden_.source_mask(), search);
  }
  Golden golden_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Models, BeamTest, testing::Values("gated", "relu"));

TEST_P(BeamTest, WritesTransformersTokensAndScores) {
  const Json golden =
      read_json_file(std::filesystem::path(PLUMBLINE_SOURCE_DIR) / "tests/parity/goldens/beams.json").value();
  for (const Json& expected : golden.at(GetParam())) {
    BeamSearch search = beams_of(expected.at("beams").get<int>(), expected.at("max_new_tokens").get<int>());
    search.length_penalty = expected.at("length_penalty").get<double>();
    if (expected.at("early_stopping").get<bool>()) search.early_stopping = EarlyStopping::kAtOnce;
    const auto outputs = write(search);
    ASSERT_EQ(outputs.size(), expected.at("tokens").size());
    for (std::size_t row = 0; row < outputs.size(); ++row) {
      const auto tokens = expected.at("tokens")[row].get<std::vector<std::int32_t>>();
      const std::string where = "row " + std::to_string(row) + " of " + expected.dump().substr(0, 80);
      EXPECT_EQ(outputs[row].tokens, tokens) << where;
      EXPECT_EQ(outputs[row].complete, tokens.back() == 1) << where;
      const double score = expected.at("scores")[row].get<double>();
      EXPECT_NEAR(outputs[row].score, score, 1e-5 * std::max(1.0, std::abs(score))) << where;
    }
  }
}

TEST_P(BeamTest, OneBeamIsGreedy) {
  const auto greedy = generate_greedy(*golden_.model, golden_["source"], golden_.source_mask(), 24);
  const auto beams = write(beams_of(1, 24));
  for (std::size_t row = 0; row < greedy.size(); ++row) {
    EXPECT_EQ(beams[row].tokens, greedy[row].tokens) << row;
    EXPECT_EQ(beams[row].complete, greedy[row].complete) << row;
  }
}

/// What the cache gave along the way is what the whole output gives at once: no beam was mistaken for another.
TEST_P(BeamTest, TheScoreIsThatOfTheTokens) {
  const at::NoGradGuard no_grad;
  const at::Tensor source = golden_["source"], mask = golden_.source_mask();
  const auto outputs = write(beams_of(5, 20));
  for (std::size_t row = 0; row < outputs.size(); ++row) {
    const auto r = static_cast<std::int64_t>(row);
    const std::vector<std::int64_t> ids(outputs[row].tokens.begin(), outputs[row].tokens.end());
    const at::Tensor tokens = at::tensor(ids, at::kLong).unsqueeze(0), own_mask = mask.narrow(0, r, 1);
    const at::Tensor memory = golden_.model->encode(source.narrow(0, r, 1), own_mask);
    const at::Tensor logits = golden_.model->logits(golden_.model->decode(shift_right(tokens), memory, own_mask));
    const at::Tensor log_probs = at::log_softmax(logits, -1).gather(2, tokens.unsqueeze(2));
    EXPECT_NEAR(outputs[row].score, log_probs.sum().item<double>() / static_cast<double>(ids.size()), 1e-4) << row;
  }
}

TEST_P(BeamTest, ARowIsAnsweredAloneAsInABatch) {
  const auto together = write(beams_of(4, 24));
  for (std::size_t row = 0; row < together.size(); ++row) {
    const at::Tensor source = golden_["source"].narrow(0, static_cast<std::int64_t>(row), 1);
    const auto alone = generate_beams(*golden_.model, source, source.ne(0), beams_of(4, 24));
    EXPECT_EQ(alone.at(0).tokens, together[row].tokens) << row;
  }
}

TEST_P(BeamTest, NothingIsWrittenWhereNothingIsWanted) {
  for (const Hypothesis& output : write(beams_of(4, 0))) EXPECT_TRUE(output.tokens.empty());
  const at::Tensor none = golden_["source"].narrow(0, 0, 0);
  EXPECT_TRUE(generate_beams(*golden_.model, none, none.ne(0), beams_of(4, 3)).empty());
}

/// Every output of at most `limit` tokens, scored by teacher forcing.
void look_everywhere(const T5& model, const at::Tensor& memory, const at::Tensor& mask, int limit,
                     const std::vector<std::int64_t>& prefix, double score, Hypothesis& best) {
  std::vector<std::int64_t> input{0};
  input.insert(input.end(), prefix.begin(), prefix.end());
  const at::Tensor states = model.decode(at::tensor(input, at::kLong).unsqueeze(0), memory, mask);
  const at::Tensor log_probs = at::log_softmax(model.logits(states), -1)[0][-1].contiguous();
  for (std::int64_t token = 0; token < log_probs.size(0); ++token) {
    std::vector<std::int64_t> tokens = prefix;
    tokens.push_back(token);
    const double sum = score + log_probs[token].item<double>();
    if (token != 1 && static_cast<int>(tokens.size()) < limit) {
      look_everywhere(model, memory, mask, limit, tokens, sum, best);
      continue;
    }
    const auto normalized = static_cast<float>(sum / static_cast<double>(tokens.size()));
    if (best.tokens.empty() || normalized > best.score) best = {{tokens.begin(), tokens.end()}, normalized, token == 1};
  }
}

TEST(Beams, WithEnoughOfThemTheBestOutputThereIsIsFound) {
  const at::NoGradGuard no_grad;
  at::set_num_threads(1);
  ModelConfig config = small_config();
  config.vocab_size = 5;
  T5 model(config, at::kCPU);
  model.initialize(3);
  const at::Tensor source = at::tensor({3, 4, 2, 1, 2, 2, 1, 0}, at::kLong).view({2, 4}), mask = source.ne(0);
  const auto found = generate_beams(model, source, mask, beams_of(125, 3));
  for (std::int64_t row = 0; row < source.size(0); ++row) {
    const at::Tensor own_mask = mask.narrow(0, row, 1);
    Hypothesis best;
    look_everywhere(model, model.encode(source.narrow(0, row, 1), own_mask), own_mask, 3, {}, 0, best);
    EXPECT_EQ(found[static_cast<std::size_t>(row)].tokens, best.tokens) << row;
    EXPECT_NEAR(found[static_cast<std::size_t>(row)].score, best.score, 1e-5) << row;
  }
}

}  // namespace
}  // namespace plumbline
