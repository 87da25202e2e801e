// Lines of JSON in their two forms: examples and dialogues.
#include <cstdint>
#include <string_view>

#include "coordinator/curate/dialogue_importer.hpp"
#include "coordinator/curate/jsonl_importer.hpp"
#include "coordinator/curate/simulated_importer.hpp"
#include "tests/fuzz/checking_sink.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fuzz_importer(JsonlImporter({}), text);
  fuzz_importer(DialogueImporter({}), text);
  fuzz_importer(SimulatedImporter({}), text);
  return 0;
}
