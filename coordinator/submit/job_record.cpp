#include "coordinator/submit/job_record.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>

#include "common/core/clock.hpp"
#include "common/core/files.hpp"
#include "coordinator/submit/slurm.hpp"

namespace plumbline {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostBytes = 16 << 20;
constexpr std::string_view kCommentBegin = "plumbline:";

std::optional<fs::path> state_folder() {
  for (const auto& [variable, below] : {std::pair("XDG_STATE_HOME", ""), {"HOME", ".local/state"}})
    if (const char* value = std::getenv(variable); value != nullptr && *value == '/')
      return fs::path(value) / below / "plumbline" / "jobs";
  return std::nullopt;
}

Result<Json> read_small_json(const fs::path& file) {
  PLUMBLINE_ASSIGN(const std::string text, read_file(file, kMostBytes));
  return parse_json(text, file.string());
}

/// The runs of a whole job, by task.
Result<std::vector<std::string>> recorded_runs(const std::string& job) {
  const auto folder = state_folder();
  if (!folder) return data_error("there is no folder for the record of jobs", "$XDG_STATE_HOME");
  const fs::path file = *folder / (job + ".json");
  PLUMBLINE_ASSIGN(const Json json, read_small_json(file));
  return json_get<std::vector<std::string>>(json, "runs", file.string());
}

/// "plumbline:RUN" of Slurm's record.
std::optional<std::string> commented_run(const std::string& job) {
  const auto comment = job_comment(job);
  if (comment.has_error() || !comment->starts_with(kCommentBegin)) return std::nullopt;
  return comment->substr(kCommentBegin.size());
}

/// Ids come again when a cluster is set up anew.
bool is_of(const std::string& run, const std::string& job) {
  const auto record = read_job(RunLayout(run));
  return record.has_value() && record->job == job;
}

Error unknown_job(const std::string& job) {
  return usage_error("no run of the job " + job + " is known here", job,
                     "Name its run directory; `plumbline submit` printed it.");
}

Result<std::string> run_of_task(const std::string& job, std::size_t underscore) {
  const std::string array = job.substr(0, underscore);
  const auto runs = recorded_runs(array);
  const auto task = static_cast<std::size_t>(std::strtoul(job.c_str() + underscore + 1, nullptr, 10));
  if (runs.has_value() && task < runs->size() && is_of((*runs)[task], job)) return (*runs)[task];
  return unknown_job(job);
}

Result<std::string> run_of_job(const std::string& job) {
  if (const auto underscore = job.find('_'); underscore != std::string::npos) return run_of_task(job, underscore);
  const auto runs = recorded_runs(job);
  if (runs.has_value() && runs->size() == 1 && is_of(runs->front(), job)) return runs->front();
  if (runs.has_value() && runs->size() > 1 && is_of(runs->front(), job + "_0"))
    return usage_error(
        fmt::format("the job {} is a sweep of {} runs", job, runs->size()), job,
        fmt::format("Name one of its tasks, {0}_0 to {0}_{1}, or a run directory.", job, runs->size() - 1));
  if (const auto run = commented_run(job)) return *run;
  return unknown_job(job);
}

}  // namespace

fs::path job_file(const RunLayout& layout) { return layout.root() / "job.json"; }

Result<JobRecord> read_job(const RunLayout& layout) {
  const std::string where = job_file(layout).string();
  PLUMBLINE_ASSIGN(const Json json, read_small_json(job_file(layout)));
  JobRecord record;
  PLUMBLINE_ASSIGN(record.job, json_get<std::string>(json, "job", where));
  PLUMBLINE_ASSIGN(record.script, json_get<std::string>(json, "script", where));
  PLUMBLINE_ASSIGN(record.submitted, json_get<std::string>(json, "submitted", where));
  if (!is_job_id(record.job)) return data_error("the key \"job\" is no job's id", where);
  return record;
}

Status record_job(const std::string& job, const std::string& script, const std::vector<std::string>& runs) {
  const std::string now = utc_now();
  for (std::size_t task = 0; task < runs.size(); ++task) {
    const std::string id = runs.size() == 1 ? job : fmt::format("{}_{}", job, task);
    const Json json{{"version", 1}, {"job", id}, {"script", script}, {"submitted", now}};
    PLUMBLINE_TRY(write_file_atomically(job_file(RunLayout(runs[task])), to_line(json) + "\n"));
  }
  const auto folder = state_folder();
  if (!folder) return {};
  std::error_code ec;
  fs::create_directories(*folder, ec);
  if (ec) return {};  // A home that cannot be written to: the run directory has all that is needed.
  return write_file_atomically(*folder / (job + ".json"), to_line(Json{{"version", 1}, {"runs", runs}}) + "\n");
}

Result<RunLayout> named_run(const std::string& given) {
  std::error_code ec;
  if (fs::exists(given, ec) || !is_job_id(given)) return RunLayout(given);
  PLUMBLINE_ASSIGN(const std::string run, run_of_job(given));
  return RunLayout(run);
}

}  // namespace plumbline
