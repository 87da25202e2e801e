#include "coordinator/serve/commit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/core/files.hpp"
#include "tests/common/plan/tiny_dataset.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

class CommitTest : public testing::Test {
 protected:
  static constexpr Generation kThird{3};
  CommitTest() : layout(folder.path()) {}
  /// Parts in the partial folder, and what a worker would report of them.
  CheckpointManifest written(std::int64_t step, Generation generation = kThird) {
    CheckpointManifest manifest;
    manifest.step = Step(step);
    fs::create_directories(layout.partial_checkpoint(Step(step), generation));
    for (const std::string file : {"config.json", "model.safetensors"}) {
      const std::string content = file + std::to_string(step);
      write_file_atomically(layout.partial_checkpoint(Step(step), generation) / file, content).value();
      manifest.files.push_back({file, content.size(), sha256_hex(content)});
    }
    return manifest;
  }
  [[nodiscard]] bool has(std::int64_t step) const { return fs::exists(layout.checkpoint(Step(step))); }
  ScratchFolder folder;
  RunLayout layout;
};

TEST_F(CommitTest, PartsBecomeACheckpoint) {
  store_checkpoint(layout, written(4), kThird).value();
  EXPECT_FALSE(fs::exists(layout.partial_checkpoint(Step(4), kThird)));
  EXPECT_EQ(verify_checkpoint(layout.checkpoint(Step(4)))->step, Step(4));
}

TEST_F(CommitTest, AnUncommittedFolderInTheWayGoes) {
  fs::create_directories(layout.checkpoint(Step(4)));
  write_file_atomically(layout.checkpoint(Step(4)) / "old", "x").value();
  store_checkpoint(layout, written(4), kThird).value();
  EXPECT_FALSE(fs::exists(layout.checkpoint(Step(4)) / "old"));
}

TEST_F(CommitTest, ADifferenceIsFound) {
  for (const char* kind : {"content", "size", "gone", "weights"}) {
    CheckpointManifest manifest = written(4);
    const fs::path model = layout.partial_checkpoint(Step(4), kThird) / "model.safetensors";
    if (kind == std::string("content")) write_file_atomically(model, "model.safetensors5").value();
    if (kind == std::string("size")) write_file_atomically(model, "short").value();
    if (kind == std::string("gone")) fs::remove(model);
    if (kind == std::string("weights")) manifest.files.pop_back();
    const Status stored = store_checkpoint(layout, manifest, kThird);
    ASSERT_TRUE(stored.has_error()) << kind;
    EXPECT_EQ(stored.error().code, ErrorCode::kRun);
    EXPECT_FALSE(has(4));
  }
}

TEST_F(CommitTest, TheNewestAreKept) {
  for (std::int64_t step : {4, 8, 12, 16}) store_checkpoint(layout, written(step), kThird).value();
  fs::create_directories(layout.checkpoints() / "my-notes");
  prune_checkpoints(layout, Step(12), {.keep = 2}, {});
  EXPECT_FALSE(has(4));
  EXPECT_TRUE(has(8) && has(12) && has(16)) << "what is newer is not its business";
  prune_checkpoints(layout, Step(16), {.keep = 0, .keep_best = 1}, {{8, 0.5}, {12, 0.25}});
  EXPECT_TRUE(has(16)) << "the newest stays";
  EXPECT_TRUE(has(12)) << "and the best";
  EXPECT_FALSE(has(8));
  EXPECT_TRUE(fs::exists(layout.checkpoints() / "my-notes"));
}

TEST_F(CommitTest, PartsOfAnotherGenerationAreNotItsOwn) {
  const CheckpointManifest manifest = written(4, Generation(2));
  EXPECT_TRUE(store_checkpoint(layout, manifest, kThird).has_error());
  store_checkpoint(layout, manifest, Generation(2)).value();
  EXPECT_TRUE(has(4));
}

TEST_F(CommitTest, WhatEarlierGenerationsLeftIsRemoved) {
  written(8, Generation(2)), written(12, kThird), written(4, Generation(10));
  const fs::path foreign = layout.checkpoints() / ".step-8.generation-1.partial";
  fs::create_directories(foreign);
  remove_partial_checkpoints(layout, kThird);
  EXPECT_FALSE(fs::exists(layout.partial_checkpoint(Step(8), Generation(2))));
  EXPECT_TRUE(fs::exists(layout.partial_checkpoint(Step(12), kThird))) << "is being written";
  EXPECT_TRUE(fs::exists(layout.partial_checkpoint(Step(4), Generation(10))));
  EXPECT_TRUE(fs::exists(foreign)) << "a name that no generation gives";
}

TEST_F(CommitTest, WhatACrashLeftIsRemoved) {
  store_checkpoint(layout, written(4), kThird).value();
  store_checkpoint(layout, written(8), kThird).value();
  written(12);
  remove_partial_checkpoints(layout);
  remove_uncommitted_checkpoints(layout, {Step(4)});
  EXPECT_TRUE(has(4));
  EXPECT_FALSE(has(8));
  EXPECT_FALSE(fs::exists(layout.partial_checkpoint(Step(12), kThird)));
  remove_partial_checkpoints(RunLayout(folder.path() / "nowhere"));
}

}  // namespace
}  // namespace plumbline
