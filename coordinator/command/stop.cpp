// `plumbline stop RUN`: asks a run's coordinator to stop after a checkpoint, so that the run can be resumed, and waits
// until it has.
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "coordinator/command/command.hpp"
#include "coordinator/command/coordinator_host.hpp"
#include "coordinator/journal/journal.hpp"
#include "coordinator/serve/status.hpp"
#include "coordinator/submit/job_record.hpp"
#include "coordinator/submit/slurm.hpp"

namespace plumbline {
namespace {

constexpr std::chrono::milliseconds kLookAgain{50};

struct StopOptions {
  std::string run;
  bool no_wait = false;
};

/// Nobody serves the run: what there is to say instead. A data error where there is no run at all.
Status nothing_to_stop(const RunLayout& layout) {
  PLUMBLINE_ASSIGN(const Json status, recorded_status(layout));
  const std::string state = status.at("state").get<std::string>();
  return usage_error("no coordinator serves this run: it is " + state, layout.root().string(),
                     state == "finished" ? "" : "Go on with it: plumbline resume " + layout.root().string());
}

/// The coordinator's lock on the journal is the last thing that it lets go of.
void wait_until_let_go(const RunLayout& layout) {
  while (is_held(layout)) std::this_thread::sleep_for(kLookAgain);
}

/// Where the coordinator cannot be asked: through the Slurm job that serves the run, or waits to.
Result<std::string> stop_through_job(const RunLayout& layout) {
  const auto address = read_address(layout);
  const auto record = read_job(layout);
  if (record.has_error())
    return environment_error("the run's coordinator is on " + (address ? address->hostname : "another host") +
                                 ", cannot be reached from here, and is of no Slurm job that is known here",
                             layout.root().string(), "Call there: plumbline stop " + layout.root().string());
  PLUMBLINE_ASSIGN(const std::string state, job_state(record->job));
  if (state.empty())
    return environment_error("the run's job " + record->job + " has ended, and something else serves the run",
                             layout.root().string());
  if (state == "PENDING") {
    PLUMBLINE_TRY(cancel_job(record->job));
    return "job " + record->job + " is taken out of the queue";
  }
  PLUMBLINE_TRY(signal_job(record->job));
  return "job " + record->job + " is told to stop the run after a checkpoint";
}

/// Is there a job that would serve the run, and does it wait?
bool waits_in_queue(const RunLayout& layout) {
  const auto record = read_job(layout);
  if (record.has_error()) return false;
  const auto state = job_state(record->job);
  return state.has_value() && *state == "PENDING";
}

Status say_and_wait(const RunLayout& layout, const std::string& reply, bool no_wait) {
  std::printf("%s\n", reply.c_str());
  std::fflush(stdout);
  if (!no_wait) wait_until_let_go(layout);
  return {};
}

Status stop_unasked(const RunLayout& layout, bool no_wait) {
  if (!is_held(layout) && !waits_in_queue(layout)) return nothing_to_stop(layout);
  PLUMBLINE_ASSIGN(const std::string told, stop_through_job(layout));
  return say_and_wait(layout, told, no_wait);
}

/// On another host, whose port may be closed to this one.
bool is_elsewhere(const RunLayout& layout) {
  const auto address = read_address(layout);
  return address.has_value() && !is_on_this_host(*address);
}

Status run_stop(const StopOptions& options) {
  PLUMBLINE_ASSIGN(const RunLayout layout, named_run(options.run));
  if (!can_be_asked(layout)) return stop_unasked(layout, options.no_wait);
  const auto reply = ask_coordinator<StopReply>(layout, StopRequest{});
  if (reply.has_error() && reply.error().code == ErrorCode::kEnvironment)
    return is_elsewhere(layout) ? stop_unasked(layout, options.no_wait) : nothing_to_stop(layout);
  if (reply.has_error()) return reply.error();
  return say_and_wait(layout, reply->message, options.no_wait);
}

}  // namespace

void add_stop(CLI::App& app, CommandBody& body) {
  auto* command =
      app.add_subcommand("stop", "Stop a run after a checkpoint, so that it can be resumed, and wait until it has");
  auto options = std::make_shared<StopOptions>();
  command->add_option("RUN", options->run, "Run directory, or the id of its Slurm job")->required();
  command->add_flag("--no-wait", options->no_wait, "Do not wait until the run has stopped");
  command->callback([options, &body] { body = [options] { return run_stop(*options); }; });
}

}  // namespace plumbline
