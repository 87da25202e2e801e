#include "common/core/result.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace plumbline {
namespace {

TEST(ResultTest, AnErrorReadsPlaceMessageAndHint) {
  EXPECT_EQ(to_string(usage_error("there is no key \"stepz\"", "bad.yaml:5", "Did you mean \"steps\"?")),
            "bad.yaml:5: there is no key \"stepz\"\n  Did you mean \"steps\"?");
  EXPECT_EQ(to_string(run_error("the run failed")), "the run failed");
}

TEST(ResultTest, TheCodeIsTheExitStatus) {
  EXPECT_EQ(static_cast<int>(usage_error("").code), 2);
  EXPECT_EQ(static_cast<int>(data_error("").code), 3);
  EXPECT_EQ(static_cast<int>(run_error("").code), 4);
  EXPECT_EQ(static_cast<int>(environment_error("").code), 6);
}

Result<std::unique_ptr<int>> make(bool works) {
  if (!works) return data_error("no number", "here");
  return std::make_unique<int>(7);
}
Status try_it(bool works) {
  PLUMBLINE_TRY(make(works));
  return {};
}
Result<int> assign_it(bool works) {
  PLUMBLINE_ASSIGN(const auto number, make(works));
  return *number;
}

TEST(ResultTest, TryAndAssignPassErrorsOn) {
  EXPECT_TRUE(try_it(true).has_value());
  EXPECT_EQ(assign_it(true).value(), 7);
  EXPECT_EQ(try_it(false).error().message, "no number");
  EXPECT_EQ(assign_it(false).error().where, "here");
}

TEST(ResultTest, AnUncheckedValueThrowsWhatThePersonWouldRead) {
  try {
    static_cast<void>(assign_it(false).value());
    FAIL() << "no exception";
  } catch (const ErrorException& e) {
    EXPECT_STREQ(e.what(), "here: no number");
    EXPECT_EQ(e.error.code, ErrorCode::kData);
  }
}

}  // namespace
}  // namespace plumbline
