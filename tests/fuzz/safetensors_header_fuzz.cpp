// The header of a safetensors file: the first byte is the length of the data, the rest the JSON text. Whatever they
// are, an Error or entries that cover the data without gaps.
#include <cstdint>
#include <string_view>

#include "common/core/check.hpp"
#include "coordinator/inspect/safetensors_header.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  if (size == 0) return 0;
  const std::uint64_t data_bytes = data[0];
  const std::string_view header(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto entries = parse_safetensors_header(header, data_bytes, "model.safetensors");
  if (entries.has_error()) return 0;
  std::uint64_t covered = 0;
  for (const auto& entry : *entries) {
    PLUMBLINE_CHECK(entry.begin == covered && entry.end >= entry.begin, "the data is covered in order");
    PLUMBLINE_CHECK(entry.elements() <= entry.end - entry.begin, "an element has at least one byte");
    covered = entry.end;
  }
  PLUMBLINE_CHECK(covered == data_bytes, "the data is covered to its end");
  return 0;
}
