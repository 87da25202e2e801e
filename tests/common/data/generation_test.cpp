#include "common/data/generation.hpp"

#include <gmock/gmock.h>

#include <limits>

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;

TEST(GenerationTask, SurvivesJsonAndRefusesNonsense) {
  GenerationTask task;
  task.model = "m";
  task.temperature = 0.7;
  task.samples = 3;
  task.length_penalty = -0.5;
  task.seed = 1ull << 63;
  const auto read = generation_task_from_json(to_json(task), "task");
  ASSERT_TRUE(read.has_value()) << to_string(read.error());
  EXPECT_EQ(to_json(*read), to_json(task));
  const double infinite = std::numeric_limits<double>::infinity();
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{{"model", 1},
                                                                            {"max_new_tokens", 0},
                                                                            {"max_source_tokens", 1},
                                                                            {"batch_rows", 0},
                                                                            {"temperature", infinite},
                                                                            {"top_p", 0},
                                                                            {"top_k", -1},
                                                                            {"samples", 2000},
                                                                            {"beams", 0},
                                                                            {"beams", 4},  // and a temperature
                                                                            {"length_penalty", infinite},
                                                                            {"early_stopping", "no"}}) {
    Json json = to_json(task);
    json[key] = value;
    const auto wrong = generation_task_from_json(json, "task");
    ASSERT_FALSE(wrong.has_value()) << key;
    EXPECT_THAT(to_string(wrong.error()), HasSubstr(key));
  }
}

TEST(GenerationTask, SeveralOutputsMustBeDrawn) {
  Json json = to_json(GenerationTask{});
  json["samples"] = 2;
  EXPECT_FALSE(generation_task_from_json(json, "task").has_value());
  json["temperature"] = 1;
  EXPECT_TRUE(generation_task_from_json(json, "task").has_value());
}

TEST(SourceWindow, SurvivesALine) {
  const auto read = source_window_from_json(
      parse_json(to_line(to_json(SourceWindow{7, {"a\nb", "", "\xE2\x82\xAC"}})), "line").value(), "line");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->first, 7);
  EXPECT_THAT(read->sources, ElementsAre("a\nb", "", "\xE2\x82\xAC"));
  for (const char* text : {R"({"first": 0})", R"({"first": -1, "sources": []})", R"({"first": 0, "sources": [1]})"})
    EXPECT_FALSE(source_window_from_json(Json::parse(text), "line").has_value()) << text;
}

TEST(Answer, SurvivesALine) {
  const Answer answer{3, true, {{"x", true, -0.25}, {"", false, std::nullopt}}};
  const auto read = answer_from_json(parse_json(to_line(to_json(answer)), "line").value(), "line");
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->source, 3);
  EXPECT_TRUE(read->cut);
  ASSERT_EQ(read->outputs.size(), 2u);
  EXPECT_EQ(read->outputs[0].text, "x");
  EXPECT_THAT(read->outputs[0].score, Optional(-0.25));
  EXPECT_FALSE(read->outputs[1].complete || read->outputs[1].score);
  for (const char* text :
       {R"({"source": 0, "cut": false, "outputs": {}})", R"({"source": 0, "cut": false, "outputs": [{"text": "a"}]})"})
    EXPECT_FALSE(answer_from_json(Json::parse(text), "line").has_value()) << text;
}

TEST(SentError, IsTheSameError) {
  const Error error = error_from_json(to_json(environment_error("m", "w", "h")), "line");
  EXPECT_EQ(error.code, ErrorCode::kEnvironment);
  EXPECT_EQ(to_string(error), to_string(environment_error("m", "w", "h")));
  EXPECT_EQ(error_from_json(Json::object(), "line").code, ErrorCode::kData);
  EXPECT_EQ(error_from_json(Json::parse(R"({"error": {"code": 1}})"), "line").code, ErrorCode::kData);
}

}  // namespace
}  // namespace plumbline
