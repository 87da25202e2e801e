#include "coordinator/journal/model_folder.hpp"

#include <gmock/gmock.h>

#include "coordinator/journal/journal.hpp"
#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

class ModelFolder : public ScratchTest {
 protected:
  void add(const std::string& event, Json data) const {
    auto journal = Journal::open(RunLayout(folder()));
    ASSERT_TRUE(journal.has_value());
    ASSERT_TRUE(journal->append(event, std::move(data)).has_value());
  }
};

TEST_F(ModelFolder, OfARunIsItsNewestCommittedCheckpoint) {
  add("run_created", Json::object());
  const auto none = model_folder(folder());
  ASSERT_TRUE(none.has_error());
  EXPECT_EQ(none.error().code, ErrorCode::kUsage);
  EXPECT_THAT(none.error().message, HasSubstr("no committed checkpoint"));
  for (const int step : {4, 12}) add("checkpoint_committed", {{"step", step}, {"weights_sha256", "aa"}});
  const auto newest = model_folder(folder());
  ASSERT_TRUE(newest.has_value()) << to_string(newest.error());
  EXPECT_EQ(*newest, RunLayout(folder()).checkpoint(Step(12)));
}

TEST_F(ModelFolder, IsAFolderWithAModelItself) {
  put("model.safetensors", "");
  EXPECT_EQ(model_folder(folder()).value(), folder());
}

TEST_F(ModelFolder, WhatIsNeitherIsAUsageError) {
  for (const auto& given : {folder(), folder() / "absent"}) {
    const auto found = model_folder(given);
    ASSERT_TRUE(found.has_error());
    EXPECT_EQ(found.error().code, ErrorCode::kUsage);
    EXPECT_EQ(found.error().where, given.string());
  }
}

}  // namespace
}  // namespace plumbline
