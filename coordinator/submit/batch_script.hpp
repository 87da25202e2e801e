// The batch script of `plumbline submit`: slurm/run.sbatch.in, filled in. Pure.
#pragma once
#include <string>
#include <vector>

#include "common/core/result.hpp"

namespace plumbline {

struct BatchJob {
  std::string config;             ///< what was submitted, for the script's heading
  std::string name;               ///< of the job
  std::vector<std::string> runs;  ///< run directories, absolute
  bool array = false;             ///< a task a run; else there is one run
  std::string base;               ///< the run's directory, or that of all
  std::string folder;             ///< where relative paths were meant from, absolute
  std::string script;             ///< where the script will lie
  std::string output;             ///< of the job, with Slurm's %j, %A and %a
  std::string plumbline;          ///< the program, absolute
  int nodes = 1;
  int workers = 1, threads = 1;               ///< of one run, on all its nodes; compute threads of a worker
  int gpus = 0;                               ///< of the node
  int warning_seconds = 120;                  ///< before the time limit
  bool requeue = false;                       ///< go back into the queue behind the warning, and when preempted
  std::string time, partition, account, qos;  ///< empty: the cluster's default
};

/// A usage error, naming the option, for what Slurm would take for something else: a line feed in any of it, blanks in
/// a partition, account or QOS, a time that is not one of Slurm's forms.
Result<std::string> batch_script(const BatchJob& job);

}  // namespace plumbline
