#include "coordinator/submit/job_record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "coordinator/submit/slurm.hpp"
#include "tests/common/scratch.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Slurm's programs are small stand-ins in a folder of the test.
class JobRecordTest : public ScratchTest {
 protected:
  JobRecordTest() : path_(std::getenv("PATH")) {
    setenv("XDG_STATE_HOME", file("state").c_str(), 1);
    fs::create_directories(file("bin"));
    setenv("PATH", (file("bin").string() + ":" + path_).c_str(), 1);
    tool("scontrol", "echo 'slurm_load_jobs error: Invalid job id specified'; exit 1");
    for (const char* run : {"a", "b"}) fs::create_directories(file(run));
  }
  ~JobRecordTest() override {
    setenv("PATH", path_.c_str(), 1);
    unsetenv("XDG_STATE_HOME");
  }
  void tool(const std::string& name, const std::string& script) const {
    put("bin/" + name, "#!/bin/sh\n" + script + "\n");
    fs::permissions(file("bin/" + name), fs::perms::owner_all);
  }
  [[nodiscard]] std::string path_of(const char* run) const { return file(run).string(); }

 private:
  std::string path_;
};

TEST_F(JobRecordTest, AJobLeadsToItsRunAndBack) {
  record_job("17", path_of("a") + "/job.sbatch", {path_of("a")}).value();
  EXPECT_EQ(read_job(RunLayout(file("a")))->job, "17");
  EXPECT_EQ(named_run("17")->root(), file("a"));
}

TEST_F(JobRecordTest, TasksOfAnArrayLeadToTheirs) {
  record_job("18", path_of("a") + "/job.sbatch", {path_of("a"), path_of("b")}).value();
  EXPECT_EQ(named_run("18_1")->root(), file("b"));
  EXPECT_EQ(read_job(RunLayout(file("b")))->job, "18_1");
  const Error whole = named_run("18").error();
  EXPECT_EQ(whole.code, ErrorCode::kUsage);
  EXPECT_THAT(whole.hint, HasSubstr("18_0 to 18_1"));
  EXPECT_EQ(named_run("18_2").error().code, ErrorCode::kUsage);
}

TEST_F(JobRecordTest, ADirectoryComesFirst) {
  EXPECT_EQ(named_run(path_of("a"))->root(), file("a"));
  EXPECT_EQ(named_run("nowhere")->root(), "nowhere") << "its own command says what is missing there";
}

TEST_F(JobRecordTest, AnIdThatCameAgainIsNotBelieved) {
  record_job("19", path_of("a") + "/job.sbatch", {path_of("a")}).value();
  record_job("20", path_of("a") + "/job.sbatch", {path_of("a")}).value();
  EXPECT_EQ(named_run("20")->root(), file("a"));
  EXPECT_THAT(named_run("19").error().message, HasSubstr("19"));
}

TEST_F(JobRecordTest, SlurmsCommentIsTheFallBack) {
  tool("scontrol",
       "echo 'JobId=21 JobName=x Comment=plumbline:" + path_of("a") + " and more  StdErr=/dev/null Power= '");
  EXPECT_EQ(named_run("21")->root(), file("a").string() + " and more");
  tool("scontrol", "echo 'JobId=21 JobName=x Comment=mine StdErr=/dev/null'");
  EXPECT_TRUE(named_run("21").has_error());
}

TEST_F(JobRecordTest, ADamagedRecordIsNone) {
  record_job("22", path_of("a") + "/job.sbatch", {path_of("a")}).value();
  for (const char* text : {"", "{", "{}", R"({"version":1,"job":"; rm","script":"","submitted":""})"}) {
    put("a/job.json", text);
    EXPECT_TRUE(read_job(RunLayout(file("a"))).has_error()) << text;
    EXPECT_TRUE(named_run("22").has_error()) << text;
  }
}

TEST_F(JobRecordTest, WhatSlurmSaysIsRead) {
  tool("sbatch", "echo 'sbatch: be kind to the file system'; echo '4711;cluster'");
  EXPECT_EQ(sbatch("script").value(), "4711");
  tool("sbatch", "echo 'sbatch: error: invalid partition specified: nowhere' >&2; exit 1");
  EXPECT_EQ(sbatch("script").error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(sbatch("script").error().message, HasSubstr("invalid partition"));
  tool("squeue", "echo PENDING");
  EXPECT_EQ(job_state("1").value(), "PENDING");
  tool("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1");
  EXPECT_EQ(job_state("1").value(), "");
}

TEST_F(JobRecordTest, WithoutSlurmItIsSaid) {
  setenv("PATH", file("nowhere").c_str(), 1);
  EXPECT_EQ(sbatch("script").error().code, ErrorCode::kEnvironment);
  EXPECT_THAT(sbatch("script").error().message, HasSubstr("sbatch is not in the PATH"));
}

TEST(JobId, DigitsAndPerhapsATask) {
  for (const char* id : {"1", "4711", "12_0", "12_345"}) EXPECT_TRUE(is_job_id(id)) << id;
  for (const char* no : {"", "a", "1_", "_1", "1_2_3", "1;2", "runs/1", "-1"}) EXPECT_FALSE(is_job_id(no)) << no;
}

}  // namespace
}  // namespace plumbline
