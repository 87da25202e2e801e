// `plumbline submit CONFIG`: a run, or a sweep of runs, as a Slurm job.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "common/core/clock.hpp"
#include "common/core/files.hpp"
#include "coordinator/command/command.hpp"
#include "coordinator/command/options.hpp"
#include "coordinator/launch/launch.hpp"
#include "coordinator/submit/batch_script.hpp"
#include "coordinator/submit/job_record.hpp"
#include "coordinator/submit/slurm.hpp"
#include "coordinator/submit/sweep.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

struct SubmitOptions {
  std::string config, run, data, time, partition, account, qos;
  int nodes = 1, gpus = 0, workers = 0, warning = 120;
  bool requeue = false, dry_run = false;
  std::vector<std::string> set, sweep;
};

/// One run to be: where, and how.
struct PlannedRun {
  fs::path directory;
  RunConfig config;
  std::vector<Override> apart;  ///< from the other runs of a sweep
};

struct Plan {
  fs::path base;  ///< the run's directory, or that of the sweep
  std::vector<PlannedRun> runs;
  [[nodiscard]] bool is_sweep() const { return runs.size() > 1 || runs.front().directory != base; }
};

Status check_nodes(const SubmitOptions& options) {
  if (options.nodes == 1 || options.gpus == 0) return {};
  return usage_error(fmt::format("GPUs of {} nodes cannot train one run yet", options.nodes), "--nodes",
                     "Ask for one node with more GPUs, for nodes without any, or try several settings side by side "
                     "with --sweep.");
}

Result<std::vector<Override>> overrides_of(const SubmitOptions& options) {
  PLUMBLINE_ASSIGN(auto overrides, parse_overrides(options.set));
  if (!options.data.empty()) overrides.push_back(text_override("data", options.data));
  const int workers = options.workers > 0 ? options.workers : options.gpus;
  if (workers > 0) overrides.push_back({"workers.count", std::to_string(workers * options.nodes)});
  if (options.nodes > 1) {  // before the user's own, which may know a better address
    overrides.insert(overrides.begin(), text_override("control.bind", "0.0.0.0"));
    overrides.insert(overrides.begin(), text_override("workers.launcher", "srun"));
  }
  return overrides;
}

Result<fs::path> base_directory(const SubmitOptions& options, const RunConfig& config) {
  std::error_code ec;
  if (!options.run.empty()) return fs::absolute(options.run, ec).lexically_normal();
  PLUMBLINE_ASSIGN(const fs::path directory, default_run_directory(config));
  return fs::absolute(directory, ec).lexically_normal();
}

Result<Plan> plan_of(const SubmitOptions& options) {
  PLUMBLINE_ASSIGN(const auto overrides, overrides_of(options));
  PLUMBLINE_ASSIGN(const auto sweep, expand_sweep(options.sweep));
  Plan plan;
  for (const SweepRun& one : sweep) {
    std::vector<Override> all = overrides;
    all.insert(all.end(), one.overrides.begin(), one.overrides.end());
    PLUMBLINE_ASSIGN(RunConfig config, load_run_config(options.config, all));
    if (plan.base.empty()) {
      PLUMBLINE_ASSIGN(plan.base, base_directory(options, config));
    }
    if (config.workers.launcher == "external")
      return usage_error("a job cannot wait for workers that a person starts", "workers.launcher",
                         "Set it to auto: --set workers.launcher=auto.");
    if (config.workers.count < options.nodes)
      return usage_error(
          fmt::format("{} workers leave nodes without one: {} are asked for", config.workers.count, options.nodes),
          "--nodes", "Say --workers-per-node.");
    const bool alone = options.sweep.empty();
    if (!alone) config.name += " " + one.name;
    plan.runs.push_back({alone ? plan.base : plan.base / one.name, std::move(config), one.overrides});
  }
  const WorkersConfig& workers = plan.runs.front().config.workers;
  for (const PlannedRun& run : plan.runs)
    if (run.config.workers.count != workers.count || run.config.workers.threads != workers.threads)
      return usage_error("the tasks of a job array are of one size: workers cannot be swept", "--sweep");
  if (options.gpus > 0 && workers.count > options.gpus)
    return usage_error(
        fmt::format("{} workers cannot share {} GPUs: each takes one of its own", workers.count, options.gpus),
        "--workers-per-node");
  return plan;
}

std::string percent_escaped(const std::string& path) {  // Slurm's patterns begin with one
  std::string text;
  for (const char c : path) text.append(c == '%' ? 2 : 1, c);
  return text;
}

BatchJob job_of(const SubmitOptions& options, const Plan& plan) {
  std::error_code ec;
  BatchJob job;
  job.config = options.config;
  job.name = plan.base.filename().string();
  for (const PlannedRun& run : plan.runs) job.runs.push_back(run.directory.string());
  job.base = plan.base.string();
  job.array = plan.is_sweep();
  job.folder = fs::current_path(ec).string();
  job.script = (plan.base / "job.sbatch").string();
  const fs::path output = plan.is_sweep() ? plan.base / "slurm-%A_%a.log" : plan.base / "logs" / "slurm-%j.log";
  job.output = percent_escaped(plan.base.string()) + output.string().substr(plan.base.string().size());
  job.plumbline = fs::read_symlink("/proc/self/exe", ec).string();
  job.workers = plan.runs.front().config.workers.count;
  job.nodes = options.nodes;
  job.threads = plan.runs.front().config.workers.threads;
  job.gpus = options.gpus;
  job.warning_seconds = options.warning;
  job.requeue = options.requeue;
  job.time = options.time, job.partition = options.partition, job.account = options.account, job.qos = options.qos;
  return job;
}

/// The runs of a sweep by task, for people and programs.
Status write_index(const Plan& plan, const std::string& config, const std::string& job) {
  Json runs = Json::array();
  for (std::size_t task = 0; task < plan.runs.size(); ++task) {
    Json set = Json::object();
    for (const Override& one : plan.runs[task].apart) set[one.key] = one.value;
    runs.push_back({{"task", task}, {"run", plan.runs[task].directory.filename().string()}, {"set", std::move(set)}});
  }
  const Json index{{"version", 1}, {"config", config}, {"job", job}, {"submitted", utc_now()}, {"runs", runs}};
  return write_file_atomically(plan.base / "sweep.json", index.dump(2) + "\n");
}

/// Makes the run directories and submits. What was made is removed again when that fails.
Result<std::string> make_and_submit(const Plan& plan, const BatchJob& job, const std::string& script,
                                    const std::string& config) {
  std::error_code ec;
  const bool base_is_new = !fs::exists(plan.base, ec);
  std::vector<fs::path> made;
  const auto work = [&]() -> Result<std::string> {
    for (const PlannedRun& run : plan.runs) {
      PLUMBLINE_TRY(create_run(RunLayout(run.directory), run.config));
      made.push_back(run.directory);
    }
    PLUMBLINE_TRY(write_file_atomically(job.script, script));
    return sbatch(job.script);
  };
  const auto id = work();
  if (id.has_error()) {
    for (const fs::path& directory : made) fs::remove_all(directory, ec);
    if (plan.is_sweep()) fs::remove(job.script, ec);
    if (base_is_new && plan.is_sweep()) fs::remove(plan.base, ec);  // unless something else is in it by now
    return id;
  }
  if (plan.is_sweep()) PLUMBLINE_TRY(write_index(plan, config, *id));
  PLUMBLINE_TRY(record_job(*id, job.script, job.runs));
  return id;
}

Status check_base(const Plan& plan) {
  std::error_code ec;
  if (!plan.is_sweep() || !fs::exists(plan.base, ec) || fs::is_empty(plan.base, ec)) return {};
  return usage_error("the sweep's directory exists and is not empty", plan.base.string(),
                     "Name another one with --run.");
}

Status run_submit(const SubmitOptions& options) {
  PLUMBLINE_TRY(check_nodes(options));
  PLUMBLINE_ASSIGN(const Plan plan, plan_of(options));
  const BatchJob job = job_of(options, plan);
  PLUMBLINE_ASSIGN(const std::string script, batch_script(job));
  if (options.dry_run) {
    std::printf("%s", script.c_str());
    return {};
  }
  PLUMBLINE_TRY(check_base(plan));
  PLUMBLINE_ASSIGN(const std::string id, make_and_submit(plan, job, script, options.config));
  std::printf("job  %s\n%s  %s\n", id.c_str(), plan.is_sweep() ? "runs" : "run", plan.base.c_str());
  for (std::size_t task = 0; plan.is_sweep() && task < plan.runs.size(); ++task)
    std::printf("  %s_%zu  %s\n", id.c_str(), task, plan.runs[task].directory.filename().c_str());
  std::fflush(stdout);
  return {};
}

}  // namespace

void add_submit(CLI::App& app, CommandBody& body) {
  auto* command = app.add_subcommand("submit", "Train a new run, or a sweep of runs, as a Slurm job");
  auto options = std::make_shared<SubmitOptions>();
  command->add_option("CONFIG", options->config, "Configuration (YAML), as for `plumbline train`")->required();
  command->add_option("--run", options->run,
                      "Run directory to make (of a sweep: the directory of its runs); by default runs/ and the "
                      "configuration's name");
  command->add_option("--data", options->data, "Dataset folder, instead of the configuration's");
  command->add_option("--set", options->set, "Override a key of the configuration: --set key=value (repeatable)")
      ->take_all();
  command
      ->add_option("--sweep", options->sweep,
                   "A run for each of the values: --sweep key=a,b,c (repeatable: every combination), as one job "
                   "array")
      ->take_all();
  command
      ->add_option("--nodes", options->nodes,
                   "Nodes of a run; several: of CPUs alone, and the run outlives the loss of all but the first")
      ->check(CLI::Range(1, 100000));
  command->add_option("--gpus-per-node", options->gpus, "GPUs; each worker takes one. 0: CPUs alone")
      ->check(CLI::Range(0, 64));
  command
      ->add_option("--workers-per-node", options->workers,
                   "Workers of each node; by default as many as GPUs, or the configuration's workers.count in all")
      ->check(CLI::Range(1, kMostWorkers));
  command->add_option("--time", options->time, "Time limit, as Slurm writes it: 90 (minutes), 8:00:00, 2-12");
  command->add_option("--partition", options->partition, "Partition");
  command->add_option("--account", options->account, "Account");
  command->add_option("--qos", options->qos, "Quality of service");
  command->add_flag("--requeue", options->requeue,
                    "Go back into the queue at the time limit and when preempted, and resume there");
  command
      ->add_option("--warning", options->warning,
                   "Seconds before the time limit at which the run stops at a checkpoint")
      ->capture_default_str()
      ->check(CLI::Range(1, 65535));
  command->add_flag("--dry-run", options->dry_run, "Print the batch script; make and submit nothing");
  command->footer(
      "Prints the job's id and the run directory. status, logs and stop take either. The script stays in the run\n"
      "directory as job.sbatch; submitted again, it goes on where the run is.");
  command->callback([options, &body] { body = [options] { return run_submit(*options); }; });
}

}  // namespace plumbline
