#include "worker/answer.hpp"

#include <gmock/gmock.h>

#include <set>
#include <sstream>

#include "common/data/generation.hpp"
#include "common/text/tokenizer.hpp"
#include "tests/worker/golden.hpp"
#include "worker/generate/generate.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(LengthBatches, PutSourcesOfLikeLengthTogether) {
  EXPECT_THAT(length_batches({5, 1, 3, 1, 4}, 2), ElementsAre(ElementsAre(1, 3), ElementsAre(2, 4), ElementsAre(0)));
  EXPECT_THAT(length_batches({}, 2), ElementsAre());
}

TEST(LengthBatches, HoldFewSourcesWhereTheyAreLong) {
  EXPECT_THAT(length_batches({4096, 100'000, 4000, 4096, 10}, 8),
              ElementsAre(ElementsAre(4, 2), ElementsAre(0, 3), ElementsAre(1)));
}

class Answering : public testing::Test {
 protected:
  Answering() : model_(config(), at::kCPU) {
    at::set_num_threads(1);
    model_.initialize(9);
    EXPECT_TRUE(save_model(model_, folder_.path()).has_value());
    task_.model = folder_.path().string();
    task_.max_new_tokens = 12;
    task_.batch_rows = 3;
  }
  static ModelConfig config() {
    ModelConfig config = small_config();
    config.vocab_size = 384;
    return config;
  }
  struct Said {
    Status status;
    std::vector<Json> lines;
  };
  Said say(const std::string& input) const {
    std::istringstream in(input);
    std::ostringstream out;
    Said said{answer(in, out, at::kCPU, threads_), {}};
    std::istringstream lines(out.str());
    for (std::string line; std::getline(lines, line);) said.lines.push_back(Json::parse(line));
    return said;
  }
  /// The answers to all sources, in their order in the input.
  std::vector<Answer> answers(const std::vector<SourceWindow>& windows) const {
    std::string input = to_line(to_json(task_)) + "\n";
    for (const SourceWindow& window : windows) input += to_line(to_json(window)) + "\n";
    const Said said = say(input);
    EXPECT_TRUE(said.status.has_value()) << to_string(said.status.error());
    EXPECT_EQ(said.lines.at(0), (Json{{"ready", true}}));
    std::vector<Answer> all;
    std::size_t line = 1;
    for (const SourceWindow& window : windows) {
      std::vector<Answer> here(window.sources.size());
      std::set<std::int64_t> seen;
      for (std::size_t i = 0; i < here.size(); ++i) {
        Answer read = answer_from_json(said.lines.at(line++), "line").value();
        EXPECT_TRUE(seen.insert(read.source).second);
        here.at(static_cast<std::size_t>(read.source)) = std::move(read);
      }
      all.insert(all.end(), here.begin(), here.end());
    }
    EXPECT_EQ(line, said.lines.size());
    return all;
  }
  static std::vector<std::string> texts_of(const std::vector<Answer>& answers) {
    std::vector<std::string> texts;
    for (const Answer& one : answers)
      for (const WrittenOutput& output : one.outputs) texts.push_back(output.text);
    return texts;
  }

  TemporaryFolder folder_;
  T5 model_;
  GenerationTask task_;
  int threads_ = 1;
};

const std::vector<std::string> kSources = {"river stone", "", "a", "seven quiet maples", "b c", "\xE2\x82\xAC", "lamp"};

TEST_F(Answering, EverySourceIsAnsweredAsTheModelAnswersItAlone) {
  const auto found = answers({{0, kSources}, {7, {"paper"}}, {8, {}}});
  ASSERT_EQ(found.size(), 8u);
  const auto tokenizer = make_tokenizer("byte").value();
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::vector<std::int32_t> ids = tokenizer->encode(i < 7 ? kSources[i] : "paper");
    const at::Tensor source = at::tensor(ids, at::kInt).to(at::kLong).unsqueeze(0);
    const Generated alone = generate_greedy(model_, source, source.ge(0), 12).at(0);
    ASSERT_EQ(found[i].outputs.size(), 1u);
    EXPECT_EQ(found[i].outputs[0].text, tokenizer->decode(alone.tokens)) << i;
    EXPECT_EQ(found[i].outputs[0].complete, alone.complete) << i;
    EXPECT_FALSE(found[i].outputs[0].score || found[i].cut) << i;
  }
}

TEST_F(Answering, WhatIsDrawnDependsOnThePlaceInTheInputAlone) {
  task_.temperature = 1;
  task_.samples = 2;
  const auto together = texts_of(answers({{0, kSources}}));
  EXPECT_EQ(together.size(), 2 * kSources.size());
  EXPECT_GT(std::set(together.begin(), together.end()).size(), kSources.size());
  const std::vector<std::string> first(kSources.begin(), kSources.begin() + 3),
      rest(kSources.begin() + 3, kSources.end());
  EXPECT_EQ(texts_of(answers({{0, first}, {3, rest}})), together);
  EXPECT_NE(texts_of(answers({{7, kSources}})), together);
}

TEST_F(Answering, TheNumberOfThreadsChangesNoAnswer) {
  task_.beams = 2;
  const auto alone = answers({{0, kSources}, {7, {"paper"}}});
  for (const int threads : {2, 5}) {
    threads_ = threads;
    const auto together = answers({{0, kSources}, {7, {"paper"}}});
    ASSERT_EQ(together.size(), alone.size());
    for (std::size_t i = 0; i < alone.size(); ++i) {
      EXPECT_EQ(together[i].outputs.at(0).text, alone[i].outputs.at(0).text);
      EXPECT_EQ(together[i].outputs.at(0).score, alone[i].outputs.at(0).score) << "to the last bit";
    }
  }
}

TEST_F(Answering, BeamsHaveAScore) {
  task_.beams = 3;
  for (const Answer& one : answers({{0, kSources}})) {
    ASSERT_EQ(one.outputs.size(), 1u);
    ASSERT_TRUE(one.outputs[0].score.has_value());
    EXPECT_LT(*one.outputs[0].score, 0);
  }
}

TEST_F(Answering, ALongSourceLosesItsBeginning) {
  task_.max_source_tokens = 5;
  const auto found = answers({{0, {"the river", "iver"}}});
  EXPECT_TRUE(found[0].cut);
  EXPECT_FALSE(found[1].cut) << "four characters and the end";
  EXPECT_EQ(found[0].outputs[0].text, found[1].outputs[0].text);
}

class AnsweringInPieces : public Answering {
 protected:
  static constexpr const char* kModel = PLUMBLINE_SOURCE_DIR "/tests/common/text/spiece.model";
  void say_of_tokenizer(const Json& config) const {
    write_file_atomically(folder_.path() / "tokenizer_config.json", config.dump()).value();
  }
  /// What the command says instead of an answer.
  std::string refusal() const {
    const Said said = say(to_line(to_json(task_)) + "\n");
    EXPECT_TRUE(said.status.has_error());
    return said.status.has_error() ? to_string(said.status.error()) : "";
  }
};

TEST_F(AnsweringInPieces, TheTokenizerIsTheOneBesideTheModel) {
  std::filesystem::copy_file(kModel, folder_.path() / kSentencePieceFile);
  say_of_tokenizer({{"tokenizer_class", "T5Tokenizer"}, {"extra_ids", 84}});
  const auto tokenizer = load_sentencepiece(kModel, 84).value();
  ASSERT_EQ(tokenizer->vocab_size(), config().vocab_size);
  const std::vector<std::int32_t> ids = tokenizer->encode("The protein folds.");
  const at::Tensor source = at::tensor(ids, at::kInt).to(at::kLong).unsqueeze(0);
  const Generated alone = generate_greedy(model_, source, source.ge(0), 12).at(0);
  const auto found = answers({{0, {"The protein folds."}}});
  EXPECT_EQ(found.at(0).outputs.at(0).text, tokenizer->decode(alone.tokens));
}

TEST_F(AnsweringInPieces, TheModelsVocabularyMayBeLarger) {
  std::filesystem::copy_file(kModel, folder_.path() / kSentencePieceFile);
  say_of_tokenizer({{"extra_ids", 0}});
  EXPECT_EQ(answers({{0, {"a"}}}).size(), 1u);
  say_of_tokenizer({{"extra_ids", 85}});
  EXPECT_THAT(refusal(), HasSubstr("smaller than that of the tokenizer \"sentencepiece\", 385"));
  std::filesystem::remove(folder_.path() / "tokenizer_config.json");
  EXPECT_THAT(refusal(), HasSubstr("\"sentencepiece\", 400")) << "100 extra ids where nothing says how many";
}

TEST_F(AnsweringInPieces, AFileThatIsMissingOrDamagedIsNamed) {
  say_of_tokenizer({{"tokenizer_class", "T5Tokenizer"}});
  EXPECT_THAT(refusal(), HasSubstr(kSentencePieceFile));
  std::filesystem::copy_file(kModel, folder_.path() / kSentencePieceFile);
  std::filesystem::resize_file(folder_.path() / kSentencePieceFile, 1000);
  EXPECT_THAT(refusal(), HasSubstr((folder_.path() / kSentencePieceFile).string()));
  say_of_tokenizer({{"extra_ids", -1}});
  EXPECT_THAT(refusal(), HasSubstr("tokenizer_config.json"));
}

TEST_F(Answering, AnErrorIsSaidAndEnds) {
  const std::string task = to_line(to_json(task_)) + "\n";
  for (const auto& [input, fragment] : std::vector<std::pair<std::string, std::string>>{
           {"", "no task"}, {"{}\n", "model"}, {task + "{}\n{\"first\": 0, \"sources\": [\"a\"]}\n", "first"}}) {
    const Said said = say(input);
    ASSERT_TRUE(said.status.has_error()) << input;
    EXPECT_EQ(to_string(error_from_json(said.lines.back(), "line")), to_string(said.status.error()));
    EXPECT_THAT(to_string(said.status.error()), HasSubstr(fragment));
    EXPECT_LE(said.lines.size(), 2u);
  }
  std::filesystem::remove(folder_.path() / "model.safetensors");
  const Said said = say(task);
  ASSERT_TRUE(said.status.has_error());
  EXPECT_THAT(said.status.error().where, HasSubstr("model.safetensors"));
}

}  // namespace
}  // namespace plumbline
