#include "coordinator/generate/generate.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <csignal>
#include <cstdlib>

#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;

TEST(CheckOptions, WhatContradictsItselfOrDoesNothingIsRefused) {
  const auto wrong = [](auto change) {
    GenerateOptions options;
    change(options.task);
    const Status status = check_options(options);
    EXPECT_TRUE(status.has_error());
    return status.has_error() ? status.error().where : "";
  };
  EXPECT_TRUE(check_options({}).has_value());
  EXPECT_THAT(wrong([](auto& task) { task.beams = 2, task.temperature = 1; }), HasSubstr("--beams"));
  EXPECT_THAT(wrong([](auto& task) { task.samples = 2; }), HasSubstr("--samples"));
  EXPECT_THAT(wrong([](auto& task) { task.top_k = 2; }), HasSubstr("--top-k"));
  EXPECT_THAT(wrong([](auto& task) { task.top_p = 0.5; }), HasSubstr("--top-p"));
  EXPECT_THAT(wrong([](auto& task) { task.top_p = 0, task.temperature = 1; }), HasSubstr("--top-p"));
  EXPECT_THAT(wrong([](auto& task) { task.temperature = std::nan(""); }), HasSubstr("--temperature"));
  EXPECT_THAT(wrong([](auto& task) { task.length_penalty = std::nan(""); }), HasSubstr("--length-penalty"));
  EXPECT_THAT(wrong([](auto& task) { task.length_penalty = 2; }), HasSubstr("--length-penalty"));
  EXPECT_THAT(wrong([](auto& task) { task.early_stopping = true; }), HasSubstr("--early-stopping"));
}

/// A shell script stands in for the worker: windows of two sources, answered from the second to the first.
class Generating : public ScratchTest {
 protected:
  Generating() {
    std::signal(SIGPIPE, SIG_IGN);
    put("model.safetensors", "");
    options_.model = folder().string();
    options_.input = put("in.txt", "a\nb\nc\nd\n").string();
    options_.out = file("out.txt").string();
    options_.max_sources = 2;
  }
  ~Generating() override { ::unsetenv("PLUMBLINE_WORKER_PROGRAM"); }

  void worker(const std::string& body) const {
    const auto program = put("worker", "#!/bin/sh\n" + body);
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    ::setenv("PLUMBLINE_WORKER_PROGRAM", program.c_str(), 1);
  }
  Result<GenerateCounts> run() {
    return generate(options_, [this](std::int64_t done) { progress_.push_back(done); });
  }
  static std::string answers(const std::string& window) {
    return R"(echo '{"source":1,"cut":true,"outputs":[{"text":")" + window +
           R"(1","complete":true}]}'; echo '{"source":0,"cut":false,"outputs":[{"text":")" + window +
           R"(0","complete":false}]}')";
  }

  GenerateOptions options_;
  std::vector<std::int64_t> progress_;
};

constexpr const char* kReady = "read -r task; echo \"$task\" >&2; echo '{\"ready\":true}'\n";

TEST_F(Generating, OutputsComeInTheOrderOfTheSources) {
  worker(kReady + ("read -r window; " + answers("x") + "; read -r window; " + answers("y")) + "\n");
  const auto counts = run();
  ASSERT_TRUE(counts.has_value()) << to_string(counts.error());
  EXPECT_EQ(content("out.txt"), "x0\nx1\ny0\ny1\n");
  EXPECT_EQ(counts->sources, 4);
  EXPECT_EQ(counts->outputs, 4);
  EXPECT_EQ(counts->incomplete, 2);
  EXPECT_EQ(counts->cut, 2);
  EXPECT_EQ(counts->first_cut, options_.input + ":2");
  EXPECT_EQ(progress_, (std::vector<std::int64_t>{1, 2, 3, 4}));
}

TEST_F(Generating, TheWorkersOwnErrorIsTheError) {
  worker("echo '{\"error\":{\"code\":3,\"message\":\"m\",\"where\":\"w\",\"hint\":\"h\"}}'; exit 3\n");
  const auto counts = run();
  ASSERT_TRUE(counts.has_error());
  EXPECT_EQ(counts.error().code, ErrorCode::kData);
  EXPECT_EQ(to_string(counts.error()), to_string(data_error("m", "w", "h")));
  EXPECT_FALSE(std::filesystem::exists(options_.out));
}

TEST_F(Generating, AWorkerThatDiesIsAnErrorWithItsLastWords) {
  for (const std::string& body :
       {std::string("echo 'out of luck' >&2; kill -KILL $$\n"),
        kReady + std::string("echo 'out of luck' >&2; kill -KILL $$\n"),
        kReady + ("read -r w; " + answers("x") + "; echo 'out of luck' >&2; kill -KILL $$\n")}) {
    worker(body);
    const auto counts = run();
    ASSERT_TRUE(counts.has_error()) << body;
    EXPECT_EQ(counts.error().code, ErrorCode::kRun);
    EXPECT_THAT(counts.error().message, HasSubstr("SIGKILL"));
    EXPECT_THAT(counts.error().message, HasSubstr("out of luck"));
    EXPECT_FALSE(std::filesystem::exists(options_.out));
  }
}

TEST_F(Generating, AnAnswerToNoQuestionIsRefused) {
  for (const char* source : {"2", "-1", "0"}) {
    const std::string line = std::string(R"(echo '{"source":)") + source + R"(,"cut":false,"outputs":[]}')";
    worker(kReady + ("read -r w; " + line + "; " + line) + "\n");
    const auto counts = run();
    ASSERT_TRUE(counts.has_error()) << source;
    EXPECT_THAT(counts.error().message, HasSubstr("not asked"));
  }
}

TEST_F(Generating, AWorkerThatEndsBadlyAfterTheLastAnswerIsAnError) {
  worker(kReady + ("read -r w; " + answers("x") + "; read -r w; " + answers("y")) + "; exit 9\n");
  const auto counts = run();
  ASSERT_TRUE(counts.has_error());
  EXPECT_THAT(counts.error().message, HasSubstr("status 9"));
  EXPECT_FALSE(std::filesystem::exists(options_.out));
}

TEST_F(Generating, WhatIsWrongIsSaidBeforeAWorkerStarts) {
  ::setenv("PLUMBLINE_WORKER_PROGRAM", file("absent").c_str(), 1);
  EXPECT_EQ(run().error().code, ErrorCode::kEnvironment);
  options_.input = file("absent.txt").string();
  EXPECT_EQ(run().error().code, ErrorCode::kData);
  options_.model = file("absent").string();
  EXPECT_EQ(run().error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace plumbline
