// What both kinds of workers, of a static and of an elastic group, do to join a run and to leave it.
#pragma once
#include <string>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"
#include "common/record/run_layout.hpp"
#include "worker/session.hpp"

namespace plumbline {

/// Ends the process at once: no destructor waits for a peer, and the launcher sees to the rest of the group.
[[noreturn]] void exit_now(int status);

/// Host, process and fingerprint; who it is in its group is for the caller to add.
Hello introduce(const std::string& group, const std::string& fingerprint);

/// As the run's configuration says; a lost connection ends the process. Stacks go to the run's logs.
SessionOptions session_options(const RunConfig& config, const RunLayout& layout);

/// "worker 2 on node-7"
std::string who_on_this_host(const std::string& who);

/// `work`, with what a library throws as an error of `who`: where memory ran out, one that says what needs less.
Status guarded(const RunConfig& config, const std::string& who, const std::function<Status()>& work);

/// Tells the coordinator of an error, if there is one and the coordinator is still there, and ends the session.
void take_leave(Session& session, const Status& status);

}  // namespace plumbline
