// YAML -> RunConfig. What is accepted must be written out and read back to the same configuration.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/config/run_config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto config = parse_run_config(text, "fuzz.yaml", {});
  const auto overridden = parse_run_config("data: d\n", "fuzz.yaml", {{"model", text}});
  for (const auto* accepted : {&config, &overridden}) {
    if (!*accepted) continue;
    const auto again = parse_run_config(to_yaml(**accepted), "again.yaml", {});
    if (!again || *again != **accepted) std::abort();
  }
  return 0;
}
