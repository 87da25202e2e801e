// adapter_config.json of a LoRA adapter, which peft or anybody may have written.
#include "common/config/adapter_config.hpp"
#include "common/core/check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const auto json = parse_json({reinterpret_cast<const char*>(data), size}, "input");
  if (json.has_error()) return 0;
  const auto lora = from_peft_config(json.value(), "input");
  if (lora.has_error()) {
    PLUMBLINE_CHECK(!lora.error().message.empty(), "an error without words");
    return 0;
  }
  PLUMBLINE_CHECK(lora.value().rank > 0 && lora.value().alpha > 0 && !lora.value().targets.empty(), "no adapter");
  const auto again = from_peft_config(to_peft_config(lora.value()), "again");
  PLUMBLINE_CHECK(again.has_value() && again.value() == lora.value(), "a saved adapter is refused");
  return 0;
}
