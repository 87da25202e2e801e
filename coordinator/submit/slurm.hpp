// Slurm's programs, as far as a run needs them. Each call is one process; nothing is kept.
// Errors: kEnvironment when the program is missing or Slurm refuses, with what it said.
#pragma once
#include <string>

#include "common/core/result.hpp"

namespace plumbline {

/// The id of the job: digits.
Result<std::string> sbatch(const std::string& script);
/// SIGTERM to the batch shell alone: the script has the run stop at a checkpoint, and the job ends by itself.
Status signal_job(const std::string& job);
/// Takes a job that waits out of the queue.
Status cancel_job(const std::string& job);
/// Slurm's word for the job's state, "PENDING", "RUNNING", …; empty when the queue does not have it.
Result<std::string> job_state(const std::string& job);
/// The job's comment; empty when it has none.
Result<std::string> job_comment(const std::string& job);

/// "123" or, of a task of an array, "123_4".
bool is_job_id(const std::string& text);

}  // namespace plumbline
