#include "coordinator/report/report.hpp"

#include <gmock/gmock.h>

#include <filesystem>

#include "common/core/files.hpp"
#include "coordinator/aggregate/judged.hpp"
#include "coordinator/report/page.hpp"
#include "tests/coordinator/report/synthetic_run.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

fs::path folder(const std::string& name) {
  const fs::path root = fs::path(PLUMBLINE_BINARY_DIR) / "test-report" / name;
  fs::remove_all(root);
  return root;
}

/// The page's data, as a browser would read it.
Json data_of(const std::string& page) {
  const std::string begin = "<script type=\"application/json\" id=\"data\">";
  const std::size_t at = page.find(begin) + begin.size();
  return Json::parse(page.substr(at, page.find("</script>", at) - at));
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST(Page, KeepsUntrustedTextInsideTheData) {
  const Json data = {
      {"text", kHostileText}, {"comment", "<!-- <script>"}, {"broken", "\xff\xfe"}, {"marker", "{{page}}{{style}}"}};
  const std::string safe = script_safe(data);
  EXPECT_THAT(safe, Not(HasSubstr("<")));
  EXPECT_EQ(Json::parse(safe).at("text"), kHostileText);
  EXPECT_EQ(Json::parse(safe).at("broken"), "\uFFFD\uFFFD");
  const std::string page = render_page("<b>\"&", data);
  EXPECT_THAT(page, HasSubstr("<title>&lt;b&gt;&quot;&amp; · Plumbline report</title>"));
  EXPECT_EQ(data_of(page).at("marker"), "{{page}}{{style}}") << "what is put in is not searched for markers";
  EXPECT_EQ(count(page, "</script>"), 5u);
}

TEST(Report, OfAFinishedRunHoldsEverything) {
  const fs::path root = folder("finished");
  const Status made = make_synthetic_run(root, SyntheticKind::kFinished);
  ASSERT_TRUE(made.has_value()) << to_string(made.error());
  const Status written = write_report(RunLayout(root));
  ASSERT_TRUE(written.has_value()) << to_string(written.error());
  const std::string page = read_file(RunLayout(root).report()).value();
  const Json data = data_of(page);
  EXPECT_EQ(data.at("missing"), Json::array());
  EXPECT_THAT(data.at("verdict").get<std::string>(), HasSubstr("no clear change on “no-secret”"));
  EXPECT_EQ(data.at("summary").at("norms").size(), 3u);
  EXPECT_EQ(data.at("summary").at("norms").at("alignment").at("comparators"),
            Json({"base", "rules", "base_constrained", "continued", "aligned", "aligned_constrained"}));
  EXPECT_EQ(data.at("summary").at("norms").at("polite").at("comparators"),
            Json({"base", "rules", "continued", "aligned"}));
  EXPECT_THAT(data.at("sentences").at("alignment").get<std::string>(),
              AllOf(HasSubstr("taught the norm “alignment” by examples: The output is the true alignment"),
                    HasSubstr("The rule alone, without training, leaves 0% undesirable")));
  ASSERT_EQ(data.at("warnings").size(), 1u);
  EXPECT_THAT(data.at("warnings").at(0).get<std::string>(), HasSubstr("“polite”, training makes the desired outputs"));
  EXPECT_EQ(data.at("samples").at("alignment").at("story").at("items").size(), 3u);
  EXPECT_EQ(data.at("embedding").at("points").size(), 320u);
  EXPECT_EQ(data.at("embedding").at("norms").at(300), "polite");
  const Json& divergence = data.at("probe").at("attributes").at("divergence");
  EXPECT_LT(divergence.at("sizes").at(0).at("mae").get<double>(),
            0.6 * divergence.at("constant").at("mae").get<double>());
  EXPECT_EQ(data.at("samples").at("polite").at("items").at(1).at("source").at("text").get<std::string>().find(
                kHostileText) == std::string::npos,
            false);
  EXPECT_THAT(page, Not(HasSubstr("<img src=x")));
  EXPECT_EQ(count(page, "</script>"), 5u);
  EXPECT_THAT(page, Not(HasSubstr("<script src")));
  EXPECT_THAT(page, Not(HasSubstr("<link rel=\"stylesheet\"")));
  EXPECT_THAT(page, Not(HasSubstr(root.parent_path().string()))) << "no path of the machine";
}

TEST(Report, OfARunningRunSaysWhatIsMissing) {
  const fs::path root = folder("running");
  ASSERT_TRUE(make_synthetic_run(root, SyntheticKind::kRunning).has_value());
  ASSERT_TRUE(write_report(RunLayout(root)).has_value());
  const Json data = data_of(read_file(RunLayout(root).report()).value());
  EXPECT_EQ(data.at("missing").size(), 3u);
  EXPECT_EQ(data.at("missing").at(0).at("what"), "the final evaluation");
  EXPECT_EQ(data.at("missing").at(0).at("why"), "evaluation/summary.json is not there yet");
  EXPECT_EQ(data.at("training").at("steps"), 300);
  EXPECT_FALSE(data.contains("verdict"));
}

TEST(Report, OfABareRunIsMadeToo) {
  const fs::path root = folder("bare");
  ASSERT_TRUE(make_synthetic_run(root, SyntheticKind::kBare).has_value());
  ASSERT_TRUE(write_report(RunLayout(root / "")).has_value());
  const Json data = data_of(read_file(RunLayout(root).report()).value());
  EXPECT_EQ(data.at("missing").size(), 5u);
  EXPECT_EQ(data.at("folder"), "bare");
}

TEST(Report, ABrokenPartIsNamedAndTheOthersShown) {
  const fs::path root = folder("broken");
  ASSERT_TRUE(make_synthetic_run(root, SyntheticKind::kFinished).has_value());
  const RunLayout layout(root);
  ASSERT_TRUE(write_file_atomically(layout.summary(), "{\"norms\": {\"a\": 3}}").has_value());
  ASSERT_TRUE(write_file_atomically(judged_file(layout), "{").has_value());
  ASSERT_TRUE(write_file_atomically(layout.snapshot(Step(600)), "no HDF5").has_value());
  ASSERT_TRUE(write_report(layout).has_value());
  const Json data = data_of(read_file(layout.report()).value());
  EXPECT_EQ(data.at("missing").size(), 3u);
  EXPECT_TRUE(data.contains("training"));
  EXPECT_FALSE(data.contains("summary"));
}

TEST(Report, OfWhatIsNoRunIsRefused) {
  const fs::path root = folder("nothing");
  EXPECT_FALSE(write_report(RunLayout(root)).has_value());
  fs::create_directories(root);
  const Status refused = write_report(RunLayout(root));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_TRUE(fs::is_empty(root));
}

}  // namespace
}  // namespace plumbline
