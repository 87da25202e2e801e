#include "coordinator/report/samples.hpp"

#include <gtest/gtest.h>

namespace plumbline {
namespace {

JudgedOutput output(std::string text, bool undesirable) {
  JudgedOutput o;
  o.text = std::move(text);
  o.verdict = {undesirable, undesirable ? "a reason" : ""};
  return o;
}

TEST(Samples, AreTheFirstRowsAndTheFirstOfEachKind) {
  Judged judged;
  judged.norms.resize(1);
  judged.norms[0].name = "polite";
  for (int i = 0; i < 200; ++i) {
    JudgedRow row{i, "id", "polite", "source", "desired", {}, {}, {}, {}, {}};
    row.base = output("base", i % 2 == 0);
    row.rules = output("rules", false);
    row.aligned = output(i < 30 && i != 7 && i != 9 ? "base" : "aligned", i >= 190);
    row.others["continued"] = output("other", false);
    row.aligned.complete = i != 5;
    judged.rows.push_back(row);
  }
  const auto samples = sample_outputs(judged);
  ASSERT_TRUE(samples.has_value());
  const Json& polite = samples->at("polite");
  EXPECT_EQ(polite.at("rows"), 200);
  EXPECT_EQ(polite.at("counts").at("improved"), 95);
  EXPECT_EQ(polite.at("counts").at("worse"), 5);
  EXPECT_EQ(polite.at("counts").at("still_undesirable"), 5);
  EXPECT_EQ(polite.at("cut").at("aligned"), 1);
  EXPECT_EQ(polite.at("items").size(), 34u) << "24 first, 5 worse and 5 undesirable in both from the end";
  EXPECT_EQ(polite.at("items").at(23).at("row"), 23);
  EXPECT_EQ(polite.at("items").at(24).at("row"), 190);
  EXPECT_EQ(polite.at("items").at(0).at("kind"), "improved");
  EXPECT_EQ(polite.at("items").at(0).at("others").at("continued").at("text"), "other");
  EXPECT_EQ(polite.at("story").at("changed"), 172);
  ASSERT_EQ(polite.at("story").at("items").size(), kStorySamples);
  EXPECT_EQ(polite.at("story").at("items").at(0).at("row"), 7);
  EXPECT_EQ(polite.at("story").at("items").at(1).at("row"), 9);
  EXPECT_EQ(polite.at("story").at("items").at(2).at("row"), 30);
  EXPECT_FALSE(polite.at("items").at(0).at("base").contains("rows")) << "text is not decoded";
}

TEST(Samples, DecodeAlignmentsAndMarkTrueColumns) {
  Judged judged;
  judged.norms.resize(1);
  judged.norms[0].name = "alignment";
  judged.norms[0].rules.alignment = true;
  JudgedRow row{0, "id", "alignment", "AAG|ACGG|ACG", "AAAACC-G-GGG", {}, {}, {}, {}, {}};
  row.base = output("AAA", true);             // residues are lost
  row.rules = output("AAAACCGGG-G-", false);  // valid, gaps at the end
  row.aligned = output("AAAACC-G-GG", true);  // no rows of equal length
  judged.rows = {row};
  const auto samples = sample_outputs(judged);
  ASSERT_TRUE(samples.has_value());
  const Json& item = samples->at("alignment").at("items").at(0);
  EXPECT_EQ(item.at("source").at("rows"), Json::array({"AAG", "ACGG", "ACG"}));
  EXPECT_EQ(item.at("desired").at("rows"), Json::array({"AA-G", "ACGG", "AC-G"}));
  EXPECT_EQ(item.at("base").at("valid"), false);
  EXPECT_FALSE(item.at("base").contains("matched"));
  EXPECT_EQ(item.at("rules").at("rows"), Json::array({"AAG-", "ACGG", "ACG-"}));
  EXPECT_EQ(item.at("rules").at("matched"), "1100");
  EXPECT_FALSE(item.at("aligned").contains("rows"));
}

TEST(Samples, CutLongTextsBetweenCodePoints) {
  Judged judged;
  judged.norms.resize(1);
  judged.norms[0].name = "n";
  std::string text = "x";
  while (text.size() < kMostSampleBytes + 100) text += "é";
  JudgedRow row{0, "id", "n", text, {}, "bad", {}, {}, {}, {}};
  row.base = row.rules = row.aligned = output("", false);
  judged.rows = {row};
  const auto samples = sample_outputs(judged);
  ASSERT_TRUE(samples.has_value());
  EXPECT_EQ(samples->at("n").at("story").at("changed"), 0);
  EXPECT_EQ(samples->at("n").at("story").at("items").size(), 1u) << "the first rows, where training changed none";
  const Json& source = samples->at("n").at("items").at(0).at("source");
  const std::string shown = source.at("text");
  EXPECT_EQ(shown.size() % 2, 1u) << "no half of an é";
  EXPECT_EQ(shown.size() + source.at("cut").get<std::size_t>(), text.size());
  EXPECT_NO_THROW((void)source.dump());
}

}  // namespace
}  // namespace plumbline
