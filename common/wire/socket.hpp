// TCP sockets with deadlines: non-blocking, closed on exec. Nothing here raises SIGPIPE. Any thread.
#pragma once
#include <chrono>
#include <string>

#include "common/core/file_descriptor.hpp"
#include "common/core/result.hpp"

namespace plumbline {

using Deadline = std::chrono::steady_clock::time_point;

enum class Readiness { kReadable, kWritable };
enum class Wait { kReady, kTimedOut };

/// Until the descriptor is ready, has failed (the next call on it says how), or the deadline has passed. A deadline in
/// the past looks once.
Wait wait_for(int descriptor, Readiness readiness, Deadline deadline);

/// A connected socket without Nagle's delay. Tries each address of the host; an environment error that names
/// "host:port" when the name is unknown or none accepts in time.
Result<FileDescriptor> connect_tcp(const std::string& host, int port, Deadline deadline);

/// "No such file or directory" for ENOENT.
std::string system_reason(int error);

}  // namespace plumbline
