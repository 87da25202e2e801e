// What `plumbline generate` and its worker say to each other. What is read must write to JSON that reads back as the
// same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/data/generation.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const auto json = parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
  if (!json.has_value()) return 0;
  if (const auto task = generation_task_from_json(*json, "fuzz"); task.has_value()) {
    const auto again = generation_task_from_json(to_json(*task), "fuzz");
    if (!again.has_value() || to_json(*again) != to_json(*task)) std::abort();
  }
  if (const auto window = source_window_from_json(*json, "fuzz"); window.has_value()) {
    const auto again = source_window_from_json(to_json(*window), "fuzz");
    if (!again.has_value() || to_json(*again) != to_json(*window)) std::abort();
  }
  if (const auto answer = answer_from_json(*json, "fuzz"); answer.has_value()) {
    const auto again = answer_from_json(to_json(*answer), "fuzz");
    if (!again.has_value() || to_json(*again) != to_json(*answer)) std::abort();
  }
  const Error error = error_from_json(*json, "fuzz");
  if (to_string(error_from_json(to_json(error), "fuzz")) != to_string(error)) std::abort();
  return 0;
}
