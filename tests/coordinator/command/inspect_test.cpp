#include <gmock/gmock.h>

#include "common/core/json.hpp"
#include "tests/coordinator/command/scratch.hpp"

namespace plumbline {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::internal::CaptureStdout;
using ::testing::internal::GetCapturedStdout;

class Inspect : public ScratchFolder {
 protected:
  Inspect() {
    write(dir_ / "model" / "config.json", R"({"model_type":"t5"})");
    write(dir_ / "model" / "model.safetensors", std::string("\2\0\0\0\0\0\0\0{}", 10));
  }
};

TEST_F(Inspect, PrintsForAPersonOrAsOneJsonObject) {
  CaptureStdout();
  EXPECT_TRUE(run_command(add_inspect, {"inspect", (dir_ / "model").string()}).has_value());
  EXPECT_THAT(GetCapturedStdout(), StartsWith("Model "));
  CaptureStdout();
  EXPECT_TRUE(run_command(add_inspect, {"inspect", (dir_ / "model").string(), "--json"}).has_value());
  const std::string text = GetCapturedStdout();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(parse_json(text, "stdout").value()["kind"], "model");
}

TEST_F(Inspect, WhatIsNotThereIsADataErrorAndPrintsNothing) {
  CaptureStdout();
  const Status status = run_command(add_inspect, {"inspect", (dir_ / "nowhere").string()});
  EXPECT_EQ(GetCapturedStdout(), "");
  ASSERT_TRUE(status.has_error());
  EXPECT_EQ(status.error().code, ErrorCode::kData);
  EXPECT_THAT(to_string(status.error()), HasSubstr("nowhere"));
}

TEST_F(Inspect, WrongWordsAreRefused) {
  EXPECT_THROW(run_command(add_inspect, {"inspect"}), CLI::ParseError);
  EXPECT_THROW(run_command(add_inspect, {"inspect", "x", "--rows", "-1"}), CLI::ParseError);
  EXPECT_THROW(run_command(add_inspect, {"inspect", "x", "--row"}), CLI::ParseError);
}

}  // namespace
}  // namespace plumbline
