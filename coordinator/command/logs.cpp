// `plumbline logs RUN`: the coordinator's and all workers' logs as one, by time.
#include <unistd.h>

#include <csignal>
#include <memory>

#include "coordinator/command/command.hpp"
#include "coordinator/command/log_view.hpp"
#include "coordinator/submit/job_record.hpp"

namespace plumbline {
namespace {

struct LogsOptions {
  std::string run, level = "trace";
  std::optional<int> rank;
  std::optional<std::size_t> lines;
  bool follow = false;
};

Status run_logs(const LogsOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);  // `plumbline logs RUN | head` ends quietly.
  LogView view;
  view.rank = options.rank;
  view.level = parse_log_level(options.level).value_or(LogLevel::kTrace);
  view.newest = options.lines;
  view.follow = options.follow;
  PLUMBLINE_ASSIGN(const RunLayout layout, named_run(options.run));
  return view_logs(layout, view, STDOUT_FILENO);
}

}  // namespace

void add_logs(CLI::App& app, CommandBody& body) {
  auto* command = app.add_subcommand("logs", "Print a run's logs, merged by time, each line with who wrote it");
  auto options = std::make_shared<LogsOptions>();
  command->add_option("RUN", options->run, "Run directory, or the id of its Slurm job")->required();
  command->add_flag("-f,--follow", options->follow, "Go on with new lines as they are written, until the run ends");
  command->add_option("--rank", options->rank, "Only the worker with this rank")->check(CLI::Range(0, 1 << 20));
  command->add_option("--level", options->level, "Only lines of this level and above: trace, debug, info, warn, error")
      ->capture_default_str()
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
  command->add_option("-n,--lines", options->lines, "Of the lines that are there, only this many of the newest")
      ->check(CLI::Range(0, 1000000));
  command->callback([options, &body] { body = [options] { return run_logs(*options); }; });
}

}  // namespace plumbline
