// The small JSON files of a run: MANIFEST.json and state.json of a checkpoint, coordinator.json.
#include "common/core/check.hpp"
#include "common/record/checkpoint_manifest.hpp"
#include "common/record/run_layout.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const auto json = parse_json({reinterpret_cast<const char*>(data), size}, "input");
  if (json.has_error()) {
    PLUMBLINE_CHECK(!json.error().message.empty(), "an error without words");
    return 0;
  }
  if (const auto manifest = manifest_from_json(json.value(), "input"); manifest.has_value())
    for (const ManifestFile& file : manifest.value().files)
      PLUMBLINE_CHECK(is_inner_path(file.name) && is_hex(file.sha256, 64, 64), "a manifest vouches for anything");
  if (const auto state = state_from_json(json.value(), "input"); state.has_value())
    PLUMBLINE_CHECK(state_from_json(to_json(state.value()), "input").has_value(), "a saved state is refused");
  if (const auto address = address_from_json(json.value(), "input"); address.has_value())
    PLUMBLINE_CHECK(address.value().port > 0 && address.value().port < 65536, "no port");
  return 0;
}
