// `plumbline status RUN`: what a run is doing, from its coordinator; or what it did, from its directory.
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "common/wire/client.hpp"
#include "coordinator/command/command.hpp"
#include "coordinator/inspect/table.hpp"
#include "coordinator/serve/status.hpp"

namespace plumbline {
namespace {

constexpr std::chrono::milliseconds kAnswer{10'000}, kBetweenLooks{1'000};

struct StatusOptions {
  std::string run;
  bool json = false, watch = false;
};

/// The coordinator's answer; an environment error when none serves the run.
Result<Json> ask_coordinator(const RunLayout& layout) {
  Hello hello;
  hello.role = Role::kClient;
  PLUMBLINE_ASSIGN(ControlClient client, ControlClient::connect(layout.root(), std::move(hello), kAnswer));
  PLUMBLINE_TRY(client.send(StatusRequest{}));
  PLUMBLINE_ASSIGN(auto answer, client.receive(kAnswer));
  auto* reply = answer ? std::get_if<StatusReply>(&*answer) : nullptr;
  if (reply == nullptr) return environment_error("the coordinator did not answer", layout.root().string());
  return Result<Json>(boost::system::in_place_value, std::move(reply->status));
}

Result<Json> look(const RunLayout& layout) {
  std::error_code ec;
  if (std::filesystem::exists(layout.coordinator(), ec)) {
    auto answer = ask_coordinator(layout);
    // A coordinator that is gone, or goes meanwhile, leaves the directory to tell; a refusal is for the person to hear.
    if (answer.has_value() || answer.error().code == ErrorCode::kUsage) return answer;
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

/// Until a run that nobody serves is seen; a terminal is cleared between looks.
Status watch(const RunLayout& layout, bool json) {
  for (;;) {
    PLUMBLINE_ASSIGN(const Json status, look(layout));
    if (!json) std::fputs("\033[H\033[J", stdout);
    PLUMBLINE_TRY(print(status, json));
    if (status.value("uptime_seconds", Json()).is_null()) return {};
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

Status run_status(const StatusOptions& options) {
  const RunLayout layout(options.run);
  if (options.watch) return watch(layout, options.json);
  PLUMBLINE_ASSIGN(const Json status, look(layout));
  return print(status, options.json);
}

}  // namespace

void add_status(CLI::App& app, CommandBody& body) {
  auto* command = app.add_subcommand("status", "Show what a run is doing, or what it did");
  auto options = std::make_shared<StatusOptions>();
  command->add_option("RUN", options->run, "Run directory")->required();
  command->add_flag("--json", options->json, "Print one JSON object (with --watch: one a line)");
  command->add_flag("--watch", options->watch, "Look again every second while the run is served");
  command->callback([options, &body] { body = [options] { return run_status(*options); }; });
}

}  // namespace plumbline
