// The clock is injected wherever a decision depends on time.
#pragma once
#include <chrono>
#include <functional>
#include <string>

namespace plumbline {
using SteadyTime = std::chrono::steady_clock::time_point;
using Clock = std::function<SteadyTime()>;
Clock system_clock();
/// "2026-11-24T10:24:13.123456Z": wall-clock time in UTC.
std::string utc_now();
}  // namespace plumbline
