#include "worker/log.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace plumbline {
void log_info(const std::string& line) { spdlog::info("{}", line); }
void log_error(const std::string& line) { spdlog::error("{}", line); }
void flush_log() { spdlog::default_logger()->flush(); }
std::string fixed(double value, int digits) { return fmt::format("{:.{}f}", value, digits); }
}  // namespace plumbline
