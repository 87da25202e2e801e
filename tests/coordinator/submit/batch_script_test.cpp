// Scripts are compared with the files beside this test, which shellcheck reads too (.ci/run lint). To make them again:
//   PLUMBLINE_WRITE_GOLDENS=1 build/release/bin/submit_test
#include "coordinator/submit/batch_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "common/core/files.hpp"

namespace plumbline {
namespace {

using testing::HasSubstr;
using testing::Not;

BatchJob one_node() {
  BatchJob job;
  job.config = "configs/paradetox.yaml";
  job.name = "paradetox";
  job.runs = {"/home/ada/runs/paradetox"};
  job.base = job.runs.front();
  job.folder = "/home/ada";
  job.script = job.base + "/job.sbatch";
  job.output = job.base + "/logs/slurm-%j.log";
  job.plumbline = "/opt/plumbline/bin/plumbline";
  job.workers = 4;
  return job;
}

void expect_golden(const BatchJob& job, const std::string& name) {
  const std::string file = std::string(PLUMBLINE_SOURCE_DIR) + "/tests/coordinator/submit/" + name + ".sbatch";
  const auto script = batch_script(job);
  ASSERT_TRUE(script.has_value()) << to_string(script.error());
  if (std::getenv("PLUMBLINE_WRITE_GOLDENS") != nullptr) write_file_atomically(file, *script).value();
  EXPECT_EQ(*script, read_file(file).value());
}

TEST(BatchScript, ForCpusAlone) { expect_golden(one_node(), "cpu"); }

TEST(BatchScript, ForGpus) {
  BatchJob job = one_node();
  job.gpus = 4, job.threads = 8;
  job.time = "2-12", job.partition = "gpu", job.account = "lab", job.qos = "normal";
  expect_golden(job, "gpu");
}

TEST(BatchScript, ForAPreemptibleQueue) {
  BatchJob job = one_node();
  job.requeue = true, job.time = "8:00:00", job.partition = "preemptible", job.warning_seconds = 600;
  expect_golden(job, "preemptible");
}

TEST(BatchScript, ForASweep) {
  BatchJob job = one_node();
  job.base = "/home/ada/runs/rate", job.array = true, job.requeue = true;
  job.runs = {job.base + "/0-learning_rate=0.001", job.base + "/1-learning_rate=0.0003"};
  job.script = job.base + "/job.sbatch", job.output = job.base + "/slurm-%A_%a.log";
  expect_golden(job, "sweep");
}

TEST(BatchScript, PathsStayOneWord) {
  BatchJob job = one_node();
  job.runs = {"/home/ada/it's a run; rm -rf $HOME {{WORKERS}}"};
  job.base = job.runs.front(), job.folder = "/home/a b", job.plumbline = "/opt/my tools/plumbline";
  const std::string script = batch_script(job).value();
  EXPECT_THAT(script, HasSubstr("run='/home/ada/it'\\''s a run; rm -rf $HOME {{WORKERS}}'\n"));
  EXPECT_THAT(script, HasSubstr("cd '/home/a b' || exit 6"));
  EXPECT_THAT(script, HasSubstr("'/opt/my tools/plumbline' resume \"$run\" --workers 4 &"));
}

TEST(BatchScript, NothingIsLeftToFillIn) { EXPECT_THAT(batch_script(one_node()).value(), Not(HasSubstr("{{"))); }

TEST(BatchScript, WhatCannotStandInADirectiveIsRefusedByName) {
  const auto error_of = [](const auto& change) {
    BatchJob job = one_node();
    change(job);
    const auto script = batch_script(job);
    EXPECT_TRUE(script.has_error());
    return script.has_error() ? script.error() : Error{};
  };
  EXPECT_EQ(error_of([](BatchJob& job) { job.partition = "a b"; }).where, "--partition");
  EXPECT_EQ(error_of([](BatchJob& job) { job.account = "x\n#SBATCH --nodes=9"; }).where, "--account");
  EXPECT_EQ(error_of([](BatchJob& job) { job.qos = "\""; }).where, "--qos");
  EXPECT_EQ(error_of([](BatchJob& job) { job.runs = {"/a\nb"}; }).where, "--run");
  EXPECT_EQ(error_of([](BatchJob& job) { job.output = "/a\"b/%j"; }).where, "--run");
  for (const char* time : {"soon", "1:2:3:4", "1-", "-5", "8h"})
    EXPECT_EQ(error_of([&](BatchJob& job) { job.time = time; }).where, "--time") << time;
}

TEST(BatchScript, EveryFormOfATimeIsTaken) {
  for (const char* time : {"90", "90:00", "8:00:00", "2-12", "2-12:30", "2-12:30:00"}) {
    BatchJob job = one_node();
    job.time = time;
    EXPECT_THAT(batch_script(job).value(), HasSubstr(std::string("#SBATCH --time=") + time + "\n"));
  }
}

}  // namespace
}  // namespace plumbline
