#include "worker/out_of_memory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <system_error>

#include "worker/torch_pch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;
using testing::Not;

/// What torch says of an NVIDIA GPU that is full.
constexpr const char* kFullGpu =
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 139.72 GiB of which 1.25 GiB is "
    "free. Including non-PyTorch memory, this process has 138.40 GiB memory in use.";

Activity::Work training() {
  Activity::Work work;
  work.stage = "training", work.step = 12;
  work.sources = 8, work.source_tokens = 512, work.outputs = 16, work.output_tokens = 128;
  return work;
}

TEST(OutOfMemory, TorchsOwnErrorIsKnownAndSaysHowMuchWasAskedFor) {
  std::string asked, free;
  try {
    static_cast<void>(at::empty({std::int64_t{1} << 52}, at::kByte));
    FAIL() << "no machine has 4 PiB";
  } catch (const std::exception& e) {
    const auto shortage = memory_shortage(e);
    ASSERT_TRUE(shortage) << e.what();
    asked = shortage->asked, free = shortage->free;
  }
  EXPECT_EQ(asked, "4194304.00 GiB");
  EXPECT_THAT(free, HasSubstr("iB")) << "of this host";
}

TEST(OutOfMemory, AGpusErrorSaysWhatIsFreeThere) {
  const auto shortage = memory_shortage(std::runtime_error(kFullGpu));
  ASSERT_TRUE(shortage);
  EXPECT_EQ(shortage->asked, "2.50 GiB");
  EXPECT_EQ(shortage->free, "1.25 GiB of this GPU's 139.72 GiB");
}

TEST(OutOfMemory, OtherFormsOfIt) {
  EXPECT_TRUE(memory_shortage(std::bad_alloc()));
  EXPECT_TRUE(memory_shortage(std::system_error(std::make_error_code(std::errc::not_enough_memory))));
  EXPECT_TRUE(memory_shortage(std::runtime_error("CUDA error: out of memory")));
  const auto cut = memory_shortage(std::runtime_error("CUDA out of memory."));
  ASSERT_TRUE(cut) << "another version's text";
  EXPECT_EQ(cut->asked + cut->free, "");
}

TEST(OutOfMemory, WhatIsAboutSomethingElseStaysThat) {
  EXPECT_FALSE(memory_shortage(std::runtime_error("shapes do not match")));
  EXPECT_FALSE(memory_shortage(std::system_error(std::make_error_code(std::errc::broken_pipe))));
  const Error error = library_error(std::runtime_error("shapes do not match"), "worker 2 on here", training(), "hint");
  EXPECT_EQ(error.code, ErrorCode::kRun);
  EXPECT_EQ(error.message, "a library failed: shapes do not match");
  EXPECT_EQ(error.where, "worker 2 on here");
  EXPECT_EQ(error.hint, "");
}

TEST(OutOfMemory, TheErrorSaysWhoDidWhatWithHowMuch) {
  const Error error = library_error(std::runtime_error(kFullGpu), "worker 2 on here", training(), "hint");
  EXPECT_EQ(error.code, ErrorCode::kEnvironment) << "nobody tries it again";
  EXPECT_EQ(
      error.message,
      "out of memory in the stage \"training\" behind step 12, computing 8 sources of up to 512 tokens (4096 with "
      "padding) and 16 outputs of up to 128 tokens (2048 with padding); 2.50 GiB more were asked for; 1.25 GiB of "
      "this GPU's 139.72 GiB are free");
  EXPECT_EQ(error.where, "worker 2 on here");
  EXPECT_EQ(error.hint, "hint");
}

TEST(OutOfMemory, TheHintNamesKeysThatNeedLessInThatStage) {
  RunConfig config;
  config.train.micro_batch_tokens = 4096, config.train.max_source_tokens = 512;
  const std::string hint = memory_hint(training(), config);
  for (const char* key : {"train.micro_batch_tokens (4096 now)", "train.precision: bf16", "optimizer.name: adafactor",
                          "--set train.activations=recompute"})
    EXPECT_THAT(hint, HasSubstr(key));
  Activity::Work work = training();
  work.sources = 1;
  EXPECT_THAT(memory_hint(work, config), HasSubstr("train.max_source_tokens (512 now)"));
  EXPECT_THAT(memory_hint(work, config), Not(HasSubstr("micro_batch_tokens"))) << "it would change nothing";
  work = training();
  config.train.activations = "recompute", config.train.precision = "bf16", config.optimizer.name = "adafactor";
  for (const char* done : {"recompute", "bf16", "adafactor"})
    EXPECT_THAT(memory_hint(work, config), Not(HasSubstr(done)));
  work.stage = "evaluation";
  EXPECT_THAT(memory_hint(work, config), HasSubstr("evaluate.batch_rows (32 now)"));
  work.stage = "starting";
  EXPECT_THAT(memory_hint(work, config), HasSubstr("lora.rank"));
}

TEST(OutOfMemory, AStageThatBeginsForgetsWhatTheOneBeforeComputed) {
  Activity doing;
  doing.begin_stage("training", 4);
  doing.reads_sources(8, 512), doing.writes_outputs(3, 64);
  doing.reads_sources(2, 100);
  EXPECT_EQ(doing.work().sources, 2);
  EXPECT_EQ(doing.work().source_tokens, 100);
  EXPECT_EQ(doing.work().outputs, 0) << "of the batch before";
  doing.begin_stage("checkpoint", 5);
  EXPECT_EQ(doing.work().stage, "checkpoint");
  EXPECT_EQ(doing.work().step, 5);
  EXPECT_EQ(doing.work().sources, 0);
}

}  // namespace
}  // namespace plumbline
