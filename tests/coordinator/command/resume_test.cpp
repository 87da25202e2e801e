#include <gmock/gmock.h>

#include "common/config/run_config.hpp"
#include "coordinator/journal/journal.hpp"
#include "tests/coordinator/command/scratch.hpp"

namespace plumbline {
namespace {

using ::testing::HasSubstr;

/// A run as it lies on disk after 8 steps, but for its dataset: a resumption that goes through the command ends there.
class Resume : public ScratchFolder {
 protected:
  Resume() {
    RunConfig config;
    config.data = (dir_ / "absent-data").string();
    config.train.steps = 100;
    write(layout_.config(), to_yaml(config));
    std::filesystem::create_directories(layout_.logs());
    auto journal = Journal::open(layout_).value();
    EXPECT_TRUE(journal.append("run_created", Json::object()).has_value());
    EXPECT_TRUE(journal.append("checkpoint_committed", {{"step", 8}, {"weights_sha256", "aa"}}).has_value());
    write(dir_ / "worker", "#!/bin/sh\n");
    std::filesystem::permissions(dir_ / "worker", std::filesystem::perms::owner_all);
    setenv("PLUMBLINE_WORKER_PROGRAM", (dir_ / "worker").c_str(), 1);
  }
  ~Resume() override { unsetenv("PLUMBLINE_WORKER_PROGRAM"); }
  Error error_of(std::vector<std::string> words) {
    words.insert(words.begin(), {"resume", layout_.root().string()});
    const Status status = run_command(add_resume, words);
    EXPECT_TRUE(status.has_error());
    return status.has_error() ? status.error() : Error{};
  }
  void expect_untouched(const std::string& config) const {
    EXPECT_EQ(read(layout_.config()), config);
    EXPECT_EQ(read_journal(layout_.journal())->size(), 2U);
  }
  RunLayout layout_{dir_ / "run"};
};

TEST_F(Resume, NoRunIsADataErrorThatNamesThePlace) {
  const Status status = run_command(add_resume, {"resume", (dir_ / "nowhere").string()});
  ASSERT_TRUE(status.has_error());
  EXPECT_EQ(status.error().code, ErrorCode::kData);
  EXPECT_THAT(to_string(status.error()), HasSubstr("nowhere"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "nowhere"));
}

TEST_F(Resume, KeysOfTheStepsTakenAreRefused) {
  const std::string config = read(layout_.config());
  for (const std::string key : {"seed", "optimizer.learning_rate", "train.lanes", "model.d_model", "data", "train",
                                "workers", "workers.threads", "workers.device", "no.such.key"}) {
    const Error error = error_of({"--set", key + "=1"});
    EXPECT_EQ(error.code, ErrorCode::kUsage) << key;
    EXPECT_THAT(to_string(error), HasSubstr(key));
    EXPECT_THAT(error.hint, HasSubstr("train.steps"));
  }
  expect_untouched(config);
}

TEST_F(Resume, OneKeyAmongGoodOnesIsEnough) {
  const std::string config = read(layout_.config());
  EXPECT_EQ(error_of({"--set", "train.steps=200", "--set", "seed=2"}).code, ErrorCode::kUsage);
  expect_untouched(config);
}

TEST_F(Resume, SettingsAreStoredOnlyForARunThatCanGoOn) {
  const std::string config = read(layout_.config());
  const Error error = error_of({"--set", "train.steps=200", "--set", "checkpoint.every=5", "--workers", "1"});
  EXPECT_EQ(error.code, ErrorCode::kData) << to_string(error);
  EXPECT_THAT(to_string(error), HasSubstr("absent-data")) << "only the missing dataset stood in the way";
  expect_untouched(config);  // tests/e2e/checkpoints_test.py has them stored
}

TEST_F(Resume, WorkersAndLauncherHoldForThisStartAlone) {
  const std::string config = read(layout_.config());
  EXPECT_THAT(to_string(error_of({"--workers", "1", "--launcher", "external"})), HasSubstr("absent-data"));
  EXPECT_EQ(read(layout_.config()), config);
}

TEST_F(Resume, FewerStepsThanTakenAreRefusedBeforeAnythingIsWritten) {
  const std::string config = read(layout_.config());
  const Error error = error_of({"--set", "train.steps=7"});
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(error), HasSubstr("train.steps"));
  expect_untouched(config);
}

TEST_F(Resume, MoreWorkersThanLanesAreRefusedBeforeAnythingIsWritten) {
  const std::string config = read(layout_.config());
  const Error error = error_of({"--workers", "13", "--set", "train.steps=200"});
  EXPECT_EQ(error.code, ErrorCode::kUsage);
  EXPECT_THAT(to_string(error), HasSubstr("lanes"));
  expect_untouched(config);
}

TEST_F(Resume, ARunThatIsServedIsLeftAlone) {
  const std::string config = read(layout_.config());
  ASSERT_TRUE(write_address(layout_, {"127.0.0.1", 1, Generation(1), 4242, "here"}).has_value());
  {
    const auto serving = Journal::open(layout_).value();
    for (const auto& words : {std::vector<std::string>{}, {"--set", "train.steps=200"}}) {
      const Error error = error_of(words);
      EXPECT_EQ(error.code, ErrorCode::kUsage);
      EXPECT_THAT(to_string(error), HasSubstr("4242"));
    }
  }
  expect_untouched(config);
}

}  // namespace
}  // namespace plumbline
