#include "coordinator/submit/batch_script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <utility>

#include "common/core/check.hpp"
#include "coordinator/launch/process.hpp"
#include "coordinator/submit/templates.hpp"

namespace plumbline {
namespace {

Status check_line(const std::string& text, const char* option) {
  const bool plain = std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  if (plain) return {};
  return usage_error("a control character cannot stand in a batch script", option);
}

/// Names of a cluster's: Slurm would split them at a comma or a blank.
Status check_name(const std::string& text, const char* option) {
  const bool plain = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == ',' || c == '+' || c == '@';
  });
  if (plain) return {};
  return usage_error("\"" + text + "\" is no name of this kind", option);
}

Status check_time(const std::string& time) {
  static const std::regex kForms(R"((\d+-)?\d+(:\d{1,2}){0,2})");
  if (time.empty() || std::regex_match(time, kForms)) return {};
  return usage_error("\"" + time + "\" is no time limit", "--time",
                     "Write minutes, hours:minutes:seconds or days-hours: 90, 8:00:00, 2-12.");
}

Status check(const BatchJob& job) {
  for (const std::string& run : job.runs) PLUMBLINE_TRY(check_line(run, "--run"));
  PLUMBLINE_TRY(check_line(job.config, "CONFIG"));
  PLUMBLINE_TRY(check_line(job.folder, "the working directory"));
  // In a file name `%` and `\` are Slurm's, and quotes cannot be written in a directive.
  if (job.output.find_first_of("\\\"") != std::string::npos)
    return usage_error("a job's log cannot be in a directory with \\ or \" in its name", "--run");
  PLUMBLINE_TRY(check_name(job.partition, "--partition"));
  PLUMBLINE_TRY(check_name(job.account, "--account"));
  PLUMBLINE_TRY(check_name(job.qos, "--qos"));
  return check_time(job.time);
}

std::string shell_word(const std::string& word) { return shell_quote({word}); }
std::string quoted(const std::string& text) { return "\"" + text + "\""; }

std::string directives(const BatchJob& job) {
  std::vector<std::string> lines;
  const auto add = [&](const std::string& option, const std::string& value) {
    lines.push_back(fmt::format("#SBATCH --{}{}{}", option, value.empty() ? "" : "=", value));
  };
  std::string name = "plumbline-" + job.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '"' || c == '\\' || c == ' '; }, '_');
  add("job-name", name);
  add("nodes", std::to_string(job.nodes));
  add("ntasks-per-node", std::to_string((job.workers + job.nodes - 1) / job.nodes));  // a task, a worker
  add("cpus-per-task", std::to_string(job.threads));
  if (job.nodes > 1) add("no-kill", "");  // The loss of a node is the run's to survive.
  if (job.gpus > 0) add("gpus-per-node", std::to_string(job.gpus));
  if (job.array) add("array", fmt::format("0-{}", job.runs.size() - 1));
  if (!job.time.empty()) add("time", job.time);
  if (!job.partition.empty()) add("partition", job.partition);
  if (!job.account.empty()) add("account", job.account);
  if (!job.qos.empty()) add("qos", job.qos);
  add("signal", fmt::format("B:USR1@{}", job.warning_seconds));
  add(job.requeue ? "requeue" : "no-requeue", "");
  add("open-mode", "append");
  add("output", quoted(job.output));
  add("comment", quoted("plumbline:" + job.base));
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::string choose_run(const BatchJob& job) {
  if (!job.array) return "run=" + shell_word(job.runs.front());
  std::string text = "runs=(\n";
  for (const std::string& run : job.runs) text += "  " + shell_word(run) + "\n";
  return text + ")\nrun=${runs[$SLURM_ARRAY_TASK_ID]}";
}

constexpr const char* kRequeue = R"(# Of an array only this task goes back.
  echo "The time limit is near, or another job needs the node: $run stopped at a checkpoint and goes back into the queue."
  job=$SLURM_JOB_ID
  if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi
  scontrol requeue "$job" && exit 0
  echo "It could not be queued again; submit this script once more to go on." >&2)";
constexpr const char* kNoRequeue =
    R"(echo "The time limit is near: $run stopped at a checkpoint; submit this script once more to go on." >&2)";

}  // namespace

Result<std::string> batch_script(const BatchJob& job) {
  PLUMBLINE_CHECK(!job.runs.empty(), "a job without a run");
  PLUMBLINE_TRY(check(job));
  const std::string what = !job.array ? fmt::format("{}: {}", job.config, job.runs.front())
                                      : fmt::format("{}: a sweep of {} runs", job.config, job.runs.size());
  const std::pair<const char*, std::string> values[] = {{"{{WHAT}}", what},
                                                        {"{{SCRIPT}}", shell_word(job.script)},
                                                        {"{{DIRECTIVES}}", directives(job)},
                                                        {"{{FOLDER}}", shell_word(job.folder)},
                                                        {"{{CHOOSE_RUN}}", choose_run(job)},
                                                        {"{{PLUMBLINE}}", shell_word(job.plumbline)},
                                                        {"{{WORKERS}}", std::to_string(job.workers)},
                                                        {"{{AFTER_WARNING}}", job.requeue ? kRequeue : kNoRequeue}};
  std::string_view rest = embedded::run_sbatch();
  std::string script;
  while (!rest.empty()) {  // In one pass: a value that looks like a place is not filled in.
    const auto next = std::min(rest.find("{{"), rest.size());
    script += rest.substr(0, next);
    rest.remove_prefix(next);
    if (rest.empty()) break;
    const auto found = std::find_if(std::begin(values), std::end(values),
                                    [&](const auto& value) { return rest.starts_with(value.first); });
    PLUMBLINE_CHECK(found != std::end(values), "slurm/run.sbatch.in has a place that nothing fills");
    script += found->second;
    rest.remove_prefix(std::string_view(found->first).size());
  }
  return script;
}

}  // namespace plumbline
