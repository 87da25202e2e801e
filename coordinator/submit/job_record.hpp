// Which job trains which run: RUN/job.json in the run directory, and the way back from a job's id.
//   job.json: {"version": 1, "job": "123" or "123_4", "script": path, "submitted": time}
// The way back is a file of the person who submitted, STATE/plumbline/jobs/ID.json with {"version": 1, "runs": [path,
// …]} (STATE is $XDG_STATE_HOME or ~/.local/state), checked against job.json; else the job's comment, while Slurm knows
// it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"

namespace plumbline {

struct JobRecord {
  std::string job, script, submitted;
};

std::filesystem::path job_file(const RunLayout& layout);
Result<JobRecord> read_job(const RunLayout& layout);
/// `runs` are absolute; of an array, by task. The person's file is written where there is a place for it.
Status record_job(const std::string& job, const std::string& script, const std::vector<std::string>& runs);

/// What RUN on a command line means: a directory, or a job's id where no such directory is. Usage errors: a job that is
/// not known, or a whole array, whose tasks are named.
Result<RunLayout> named_run(const std::string& given);

}  // namespace plumbline
