// `plumbline status RUN`: what a run is doing, from its coordinator; or what it did, from its directory.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "coordinator/command/command.hpp"
#include "coordinator/command/coordinator_host.hpp"
#include "coordinator/command/watch.hpp"
#include "coordinator/inspect/table.hpp"
#include "coordinator/serve/status.hpp"
#include "coordinator/submit/job_record.hpp"

namespace plumbline {
namespace {

struct StatusOptions {
  std::string run;
  bool json = false, watch = false, all = false;
};

Result<Json> look(const RunLayout& layout, bool all) {
  if (can_be_asked(layout)) {
    auto reply = ask_coordinator<StatusReply>(layout, StatusRequest{all});
    if (reply.has_value()) return Result<Json>(boost::system::in_place_value, std::move(reply->status));
    // A coordinator that is gone, or goes meanwhile, leaves the directory to tell; a refusal is for the person to hear.
    if (reply.error().code == ErrorCode::kUsage) return reply.error();
  }
  return recorded_status(layout);
}

Status print(const Json& status, bool json) {
  try {
    std::fputs((json ? status.dump() + "\n" : printable_lines(status_text(status))).c_str(), stdout);
  } catch (const std::exception& e) {
    return run_error(std::string("the coordinator's answer cannot be read: ") + e.what(), {},
                     "Is it of another version? Compare with: plumbline --version");
  }
  std::fflush(stdout);
  return {};
}

Status run_status(const StatusOptions& options) {
  PLUMBLINE_ASSIGN(const RunLayout layout, named_run(options.run));
  if (options.watch) {
    std::signal(SIGPIPE, SIG_IGN);  // `plumbline status RUN --watch | head` ends quietly.
    return watch_run(
        layout, [&] { return look(layout, options.all); }, options.json);
  }
  PLUMBLINE_ASSIGN(const Json status, look(layout, options.all));
  return print(status, options.json);
}

}  // namespace

void add_status(CLI::App& app, CommandBody& body) {
  auto* command = app.add_subcommand("status", "Show what a run is doing, or what it did");
  auto options = std::make_shared<StatusOptions>();
  command->add_option("RUN", options->run, "Run directory, or the id of its Slurm job")->required();
  command->add_flag("--json", options->json, "Print one JSON object (with --watch: a line whenever something changed)");
  command->add_flag("--all", options->all,
                    "List every worker, where a run has more than " + std::to_string(kMostListed));
  command->add_flag("--watch", options->watch,
                    "Show progress, losses, workers and events until the run ends or Ctrl-C: redrawn in place on a "
                    "terminal, else a line whenever something changed");
  command->callback([options, &body] { body = [options] { return run_status(*options); }; });
}

}  // namespace plumbline
