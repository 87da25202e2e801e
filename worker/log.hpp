// Log lines from code that includes libtorch. libtorch ships headers of another fmt than the one spdlog is built with,
// so no file may include both; this is the seam. Lines go where init_log (common/core/log.hpp) sends them. Any thread.
#pragma once
#include <string>

namespace plumbline {
void log_info(const std::string& line);
void log_error(const std::string& line);
/// Hands everything logged so far to the system.
void flush_log();
/// "0.1234": `value` with this many digits after the point.
std::string fixed(double value, int digits);
}  // namespace plumbline
