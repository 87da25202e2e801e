// `plumbline stop RUN`: asks a run's coordinator to stop after a checkpoint, so that the run can be resumed, and waits
// until it has.
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "common/wire/client.hpp"
#include "coordinator/command/command.hpp"
#include "coordinator/journal/journal.hpp"
#include "coordinator/serve/status.hpp"

namespace plumbline {
namespace {

constexpr std::chrono::milliseconds kAnswer{10'000}, kLookAgain{50};

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

Result<std::string> ask_coordinator(const RunLayout& layout) {
  Hello hello;
  hello.role = Role::kClient;
  PLUMBLINE_ASSIGN(ControlClient client, ControlClient::connect(layout.root(), std::move(hello), kAnswer));
  PLUMBLINE_TRY(client.send(StopRequest{}));
  PLUMBLINE_ASSIGN(const auto answer, client.receive(kAnswer));
  const auto* reply = answer ? std::get_if<StopReply>(&*answer) : nullptr;
  if (reply == nullptr) return environment_error("the coordinator did not answer", layout.root().string());
  return reply->message;
}

/// The coordinator's lock on the journal is the last thing that it lets go of.
void wait_until_let_go(const RunLayout& layout) {
  while (is_held(layout)) std::this_thread::sleep_for(kLookAgain);
}

Status run_stop(const StopOptions& options) {
  const RunLayout layout(options.run);
  std::error_code ec;
  if (!std::filesystem::exists(layout.coordinator(), ec)) return nothing_to_stop(layout);
  const auto reply = ask_coordinator(layout);
  if (reply.has_error() && reply.error().code == ErrorCode::kEnvironment) return nothing_to_stop(layout);
  if (reply.has_error()) return reply.error();
  std::printf("%s\n", reply->c_str());
  std::fflush(stdout);
  if (!options.no_wait) wait_until_let_go(layout);
  return {};
}

}  // namespace

void add_stop(CLI::App& app, CommandBody& body) {
  auto* command =
      app.add_subcommand("stop", "Stop a run after a checkpoint, so that it can be resumed, and wait until it has");
  auto options = std::make_shared<StopOptions>();
  command->add_option("RUN", options->run, "Run directory")->required();
  command->add_flag("--no-wait", options->no_wait, "Do not wait until the run has stopped");
  command->callback([options, &body] { body = [options] { return run_stop(*options); }; });
}

}  // namespace plumbline
