// A norm of dataset.json, its judge, and a judgement. What is accepted must be written out and read back the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/text/norm.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = parse_json(text, "fuzz.json");
  if (!json) return 0;
  const auto norm = norm_from_json(*json, "fuzz.json");
  if (!norm) return 0;
  const auto again = norm_from_json(to_json(*norm), "again.json");
  if (!again || to_json(*again) != to_json(*norm)) std::abort();
  if (const auto judge = make_rule_judge(norm->rules, "fuzz")) (void)(*judge)->judge("AC|G", text.substr(0, 256));
  (void)desired_score(*norm, "AC|G", fallback_output(*norm, "AC|G"), "AGC-");
  return 0;
}
