// A sampling task, or a line of samples. What is read must write to JSON that reads back as the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/data/sampling.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const auto json = parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
  if (!json.has_value()) return 0;
  if (const auto task = sampling_task_from_json(*json, "fuzz"); task.has_value()) {
    const auto again = sampling_task_from_json(to_json(*task), "fuzz");
    if (!again.has_value() || to_json(*again) != to_json(*task)) std::abort();
  }
  if (const auto row = sampled_row_from_json(*json, "fuzz"); row.has_value()) {
    const auto again = sampled_row_from_json(to_json(*row), "fuzz");
    if (!again.has_value() || to_json(*again) != to_json(*row)) std::abort();
  }
  return 0;
}
