#include <gmock/gmock.h>

#include "common/config/run_config.hpp"
#include "common/record/run_layout.hpp"
#include "tests/coordinator/command/scratch.hpp"

namespace plumbline {
namespace {

using ::testing::HasSubstr;

class Train : public ScratchFolder {
 protected:
  Error error_of(std::vector<std::string> words) {
    words.insert(words.begin(), "train");
    const Status status = run_command(add_train, words);
    EXPECT_TRUE(status.has_error());
    return status.has_error() ? status.error() : Error{};
  }
  std::string config_ = (dir_ / "c.yaml").string();
  std::string run_ = (dir_ / "run").string();
};

TEST_F(Train, AMissingConfigurationIsNamed) {
  const Error error = error_of({config_, "--run", run_});
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(error), HasSubstr("c.yaml"));
}

TEST_F(Train, ARunThatExistsPointsToResume) {
  write(config_, "name: a\ndata: d\n");
  write(RunLayout(run_).journal(), "");
  const Error error = error_of({config_, "--run", run_});
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(error), HasSubstr("plumbline resume"));
}

TEST_F(Train, MoreWorkersThanLanesIsAUsageErrorThatMakesNothing) {
  write(config_, "name: a\ndata: d\ntrain: {lanes: 4}\n");
  const Error error = error_of({config_, "--run", run_, "--workers", "5"});
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(error), HasSubstr("lanes"));
  EXPECT_FALSE(std::filesystem::exists(run_));
}

TEST_F(Train, DataOnTheCommandLineComesBeforeTheConfigurations) {
  write(config_, "name: a\ndata: from-the-file\n");
  write(dir_ / "worker", "#!/bin/sh\n");
  std::filesystem::permissions(dir_ / "worker", std::filesystem::perms::owner_all);
  setenv("PLUMBLINE_WORKER_PROGRAM", (dir_ / "worker").c_str(), 1);
  const Error error = error_of({config_, "--run", run_, "--data", (dir_ / "from: the 'line'").string()});
  unsetenv("PLUMBLINE_WORKER_PROGRAM");
  EXPECT_EQ(error.code, ErrorCode::kData);
  EXPECT_THAT(to_string(error), HasSubstr("from: the 'line'"));
  EXPECT_FALSE(std::filesystem::exists(run_));
}

TEST_F(Train, ANameThatIsNoDirectoryAsksForOne) {
  for (const char* name : {"a/b", ".."}) {
    write(config_, std::string("name: ") + name + "\ndata: d\n");
    const Error error = error_of({config_});
    EXPECT_EQ(error.code, ErrorCode::kUsage);
    EXPECT_THAT(to_string(error), HasSubstr("name"));
  }
}

TEST_F(Train, HelpConfigNeedsNothingElse) {
  ::testing::internal::CaptureStdout();
  EXPECT_THROW(run_command(add_train, {"train", "--help-config"}), CLI::Success);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), configuration_reference());
}

TEST_F(Train, WrongWordsAreRefusedByTheCommandLine) {
  EXPECT_THROW(run_command(add_train, {"train"}), CLI::ParseError);
  EXPECT_THROW(run_command(add_train, {"train", "c.yaml", "--workers", "0"}), CLI::ParseError);
  EXPECT_THROW(run_command(add_train, {"train", "c.yaml", "--launcher", "teleport"}), CLI::ParseError);
}

}  // namespace
}  // namespace plumbline
