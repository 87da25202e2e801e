// TensorBoard's event files, of which a resumed run keeps what stands.
#include "common/core/check.hpp"
#include "common/record/event_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  std::size_t before = 0;
  for (const std::int64_t step : {0, 1, 2, 300, 1 << 30}) {
    const std::size_t kept = bytes_before_step(file, step);
    PLUMBLINE_CHECK(kept <= size && kept >= before, "later steps keep less");
    PLUMBLINE_CHECK(bytes_before_step(file.substr(0, kept), step) == kept, "what was kept is not kept again");
    before = kept;
  }
  return 0;
}
