#include "coordinator/serve/left_over.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

class LeftOverTest : public ScratchTest {
 protected:
  LeftOverTest() : layout_(folder()) {
    for (const fs::path& folder :
         {layout_.evaluation(), layout_.snapshots(), layout_.reference(), layout_.checkpoints()})
      fs::create_directories(folder);
  }
  fs::path make(const fs::path& file) {
    std::ofstream(file) << "half";
    return file;
  }

  RunLayout layout_;
};

TEST_F(LeftOverTest, WhatAKillLeftOfAWriteGoes) {
  const fs::path root = layout_.root();
  const std::vector<fs::path> left = {make(root / ".config.yaml.0123456789abcdef.tmp"),
                                      make(root / ".coordinator.json.00000000000000ff.tmp"),
                                      make(layout_.evaluation() / ".step-00000004.jsonl.0123456789abcdef.tmp"),
                                      make(layout_.reference() / ".0.h5.aaaaaaaaaaaaaaaa.tmp"),
                                      make(layout_.snapshots() / ".step-00000004.h5.partial")};
  EXPECT_THAT(remove_left_over_files(layout_), testing::UnorderedElementsAreArray(left));
  for (const fs::path& file : left) EXPECT_FALSE(fs::exists(file)) << file;
  EXPECT_TRUE(remove_left_over_files(layout_).empty()) << "there is nothing more";
}

TEST_F(LeftOverTest, WhatHasAnotherNameIsNotOurs) {
  const fs::path root = layout_.root();
  const std::vector<fs::path> others = {
      make(root / ".notes.txt.0123456789abcdef.tmp"),    // a person's, or `generate --out`'s
      make(root / "config.yaml.0123456789abcdef.tmp"),   // not hidden
      make(root / ".config.yaml.0123456789ABCDEF.tmp"),  // not our digits
      make(root / ".config.yaml.0123456789abcde.tmp"),   // one too few
      make(root / ".config.yaml0123456789abcdef.tmp"),   // no dot
      make(layout_.evaluation() / "..tmp"),
      make(layout_.evaluation() / ".0123456789abcdef.tmp"),
      make(layout_.evaluation() / "step-00000004.jsonl"),
      make(layout_.snapshots() / ".step-00000004.rank-0000.h5"),
      make(layout_.evaluation() / ".step-00000004.h5.partial"),
      make(layout_.checkpoints() / ".state.json.0123456789abcdef.tmp")};
  fs::create_directories(layout_.evaluation() / ".folder.0123456789abcdef.tmp");
  fs::create_symlink(root / "elsewhere", layout_.evaluation() / ".link.0123456789abcdef.tmp");
  EXPECT_TRUE(remove_left_over_files(layout_).empty());
  for (const fs::path& file : others) EXPECT_TRUE(fs::exists(file)) << file;
}

TEST_F(LeftOverTest, AReportThatMayBeBeingWrittenStays) {
  const fs::path file = make(layout_.root() / ".report.html.0123456789abcdef.tmp");
  EXPECT_TRUE(remove_left_over_files(layout_).empty());
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::minutes(2));
  EXPECT_EQ(remove_left_over_files(layout_).size(), 1u);
}

TEST(LeftOver, AFolderThatIsNotThereHasNothing) {
  EXPECT_TRUE(remove_left_over_files(RunLayout("/nowhere/at/all")).empty());
}

}  // namespace
}  // namespace plumbline
