#include "common/core/clock.hpp"

#include <array>
#include <cstdio>
#include <ctime>

namespace plumbline {

Clock system_clock() {
  return [] { return std::chrono::steady_clock::now(); };
}

std::string utc_now() {
  using std::chrono::floor, std::chrono::microseconds, std::chrono::seconds;
  const auto now = floor<microseconds>(std::chrono::system_clock::now());
  const auto whole = floor<seconds>(now);
  const std::time_t time = std::chrono::system_clock::to_time_t(whole);
  std::tm utc{};
  gmtime_r(&time, &utc);
  std::array<char, 24> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%s.%06dZ", date.data(), static_cast<int>((now - whole).count()));
  return text.data();
}

}  // namespace plumbline
