// dataset.json: whatever the bytes, an Error or an info that goes through JSON unchanged.
#include <cstdint>
#include <string_view>

#include "common/core/check.hpp"
#include "common/data/dataset.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const auto json = parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "dataset.json");
  if (json.has_error()) return 0;
  const auto info = dataset_info_from_json(*json, "dataset.json");
  if (info.has_error()) return 0;
  const Json written = to_json(*info);
  const auto again = dataset_info_from_json(written, "dataset.json");
  PLUMBLINE_CHECK(again.has_value(), "what was written can be read");
  PLUMBLINE_CHECK(to_json(*again) == written, "reading and writing again changes nothing");
  return 0;
}
