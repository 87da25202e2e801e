#include "worker/joining.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "common/core/clock.hpp"
#include "worker/log.hpp"
#include "worker/stacks.hpp"

namespace plumbline {

void exit_now(int status) {
  flush_log();
  std::fflush(nullptr);
  std::_Exit(status);
}

Hello introduce(const std::string& group, const std::string& fingerprint) {
  Hello hello;
  hello.role = Role::kWorker;
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) == 0) hello.host = host;
  hello.pid = getpid();
  hello.group = group;
  hello.fingerprint = fingerprint;
  return hello;
}

SessionOptions session_options(const RunConfig& config, const RunLayout& layout) {
  SessionOptions options;
  options.heartbeat = std::chrono::milliseconds(config.control.heartbeat_ms);
  options.timeout = worker_timeout(config.control, /*elastic=*/false);
  options.write_stacks = [layout](const std::string& heading) -> Result<std::string> {
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    const auto file = layout.logs() / ("stacks-" + std::string(host) + "-" + std::to_string(getpid()) + ".txt");
    PLUMBLINE_TRY(write_stacks(
        file, std::string(host) + ", process " + std::to_string(getpid()) + ", " + utc_now() + "\n" + heading));
    log_error("hangs, as the coordinator sees it; the stacks of all threads: " + file.string());
    return file.lexically_relative(layout.root()).string();
  };
  options.on_lost = [](const Error& error) {
    log_error("the connection to the coordinator is lost: " + to_string(error));
    exit_now(static_cast<int>(ErrorCode::kRun));
  };
  return options;
}

Status guarded(const std::function<Status()>& work) {
  try {
    return work();
  } catch (const std::exception& e) {  // A library's, which no room turned into an Error.
    return run_error(std::string("a library failed: ") + e.what(), "plumbline-worker");
  }
}

void take_leave(Session& session, const Status& status) {
  if (status.has_error()) {
    const Error& e = status.error();
    // The coordinator may be gone too; then the log says what happened.
    static_cast<void>(session.send(Failed{static_cast<int>(e.code), e.message, e.where, e.hint}));
  }
  session.leave();
}

}  // namespace plumbline
