#include "coordinator/refine/parts.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Parts : public ScratchTest {
 protected:
  void write(int process, const std::string& text) const {
    std::ofstream(part_file(folder(), process, 2), std::ios::binary) << text;
  }
  static std::string line(std::int64_t row, int samples = 1) {
    SampledRow sampled;
    sampled.row = row;
    for (int s = 0; s < samples; ++s) {
      sampled.outputs.push_back("output " + std::to_string(s));
      sampled.complete.push_back(true);
      sampled.repaired.emplace_back();
    }
    return to_line(to_json(sampled)) + "\n";
  }
  [[nodiscard]] Result<std::vector<std::int64_t>> rows() const {
    std::vector<std::int64_t> rows;
    PLUMBLINE_TRY(for_each_sampled_row(folder(), 2, batches, 1, [&](const SampledRow& sampled) {
      rows.push_back(sampled.row);
      return Status{};
    }));
    return rows;
  }
  std::vector<std::vector<std::int64_t>> batches{{5, 3}, {1}, {2, 4}};
};

TEST_F(Parts, ComeInTheOrderOfTheBatches) {
  write(0, line(5) + line(3) + line(2) + line(4));
  write(1, line(1));
  const auto found = rows();
  ASSERT_TRUE(found.has_value()) << to_string(found.error());
  EXPECT_THAT(*found, ElementsAre(5, 3, 1, 2, 4));
}

TEST_F(Parts, AMissingOrForeignRowIsNamed) {
  write(0, line(5) + line(3) + line(2));
  write(1, line(1));
  auto found = rows();
  ASSERT_FALSE(found.has_value());
  EXPECT_THAT(found.error().message, HasSubstr("before row 4"));
  EXPECT_THAT(found.error().hint, HasSubstr("Remove the folder"));

  write(0, line(5) + line(9));
  found = rows();
  ASSERT_FALSE(found.has_value());
  EXPECT_THAT(to_string(found.error()), HasSubstr("part-0000-of-0002.jsonl:2"));

  write(0, line(5, 2));
  found = rows();
  ASSERT_FALSE(found.has_value()) << "two samples where the task asks for one";
}

TEST_F(Parts, CountsWholeLinesAsTheyCome) {
  AnsweredRows answered(folder(), 2);
  EXPECT_EQ(answered.count(), 0);
  write(0, line(5));
  EXPECT_EQ(answered.count(), 1);
  std::ofstream(part_file(folder(), 0, 2), std::ios::binary | std::ios::app) << line(3) << "{\"row\": 2";
  write(1, line(1));
  EXPECT_EQ(answered.count(), 3);
}

TEST(SampledRow, RefusesWhatItIsNot) {
  for (const char* text :
       {R"({"outputs": [], "complete": []})", R"({"row": 1, "outputs": ["a"], "complete": []})",
        R"({"row": 1, "outputs": [1], "complete": [true]})", R"({"row": "1", "outputs": [], "complete": []})"})
    EXPECT_FALSE(sampled_row_from_json(Json::parse(text), "here").has_value()) << text;
}

TEST(SamplingTask, SurvivesJsonAndRefusesNonsense) {
  SamplingTask task;
  task.model = "m";
  task.data = "d";
  task.norm = "n";
  task.temperature = 0.7;
  task.seed = 1ull << 63;
  const auto read = sampling_task_from_json(to_json(task), "task.json");
  ASSERT_TRUE(read.has_value()) << to_string(read.error());
  EXPECT_EQ(to_json(*read), to_json(task));
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{
           {"samples", 0}, {"temperature", 0}, {"top_p", 1.5}, {"top_k", -1}, {"batch_rows", 0}, {"threads", "two"}}) {
    Json json = to_json(task);
    json[key] = value;
    const auto wrong = sampling_task_from_json(json, "task.json");
    ASSERT_FALSE(wrong.has_value()) << key;
    EXPECT_THAT(to_string(wrong.error()), HasSubstr(key));
  }
}

}  // namespace
}  // namespace plumbline
