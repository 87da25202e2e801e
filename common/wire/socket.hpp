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

/// A connected socket, non-blocking and without Nagle's delay, to the first address of the host that accepts before the
/// deadline; an environment error that names "host:port" when the name is unknown or none does.
Result<FileDescriptor> connect_to_host(const std::string& host, int port, Deadline deadline);

struct ListeningSocket {
  FileDescriptor socket;  ///< non-blocking
  int port = 0;
};
/// Listens on an address of this machine; port 0: any free one. An environment error names both.
Result<ListeningSocket> listen_on(const std::string& host, int port);

/// "No such file or directory" for ENOENT.
std::string system_reason(int error);

}  // namespace plumbline
