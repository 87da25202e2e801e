#include "worker/joining.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "common/core/clock.hpp"
#include "worker/activity.hpp"
#include "worker/log.hpp"
#include "worker/out_of_memory.hpp"
#include "worker/stacks.hpp"

namespace plumbline {

namespace {
std::string host_name() {
  char host[256] = "";
  return gethostname(host, sizeof host - 1) == 0 ? host : "";
}
}  // namespace

void exit_now(int status) {
  flush_log();
  std::fflush(nullptr);
  std::_Exit(status);
}

Hello introduce(const std::string& group, const std::string& fingerprint) {
  Hello hello;
  hello.role = Role::kWorker;
  hello.host = host_name();
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
    const std::string host = host_name();
    const auto file = layout.logs() / ("stacks-" + host + "-" + std::to_string(getpid()) + ".txt");
    PLUMBLINE_TRY(
        write_stacks(file, host + ", process " + std::to_string(getpid()) + ", " + utc_now() + "\n" + heading));
    log_error("hangs, as the coordinator sees it; the stacks of all threads: " + file.string());
    return file.lexically_relative(layout.root()).string();
  };
  options.on_lost = [](const Error& error) {
    log_error("the connection to the coordinator is lost: " + to_string(error));
    exit_now(static_cast<int>(ErrorCode::kRun));
  };
  return options;
}

std::string who_on_this_host(const std::string& who) { return who + " on " + host_name(); }

Status guarded(const RunConfig& config, const std::string& who, const std::function<Status()>& work) {
  try {
    return work();
  } catch (const std::exception& e) {  // A library's, which no room turned into an Error.
    const Activity::Work doing = activity().work();
    return library_error(e, who_on_this_host(who), doing, memory_hint(doing, config));
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
