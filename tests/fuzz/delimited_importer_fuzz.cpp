// Delimited text under every treatment of quotes.
#include <cstdint>
#include <string_view>

#include "coordinator/curate/delimited_importer.hpp"
#include "tests/fuzz/checking_sink.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const Quotes quotes : {Quotes::kNone, Quotes::kLine, Quotes::kRfc4180})
    for (const bool own_header : {false, true}) {
      DelimitedFormat format;
      format.delimiter = ',';
      format.quotes = quotes;
      if (own_header) format.header = {"s", "d", "u", "w", "g", "x"};
      format.source = "s";
      format.desired = {"d"};
      format.undesired = {"u"};
      if (own_header) format.weight = "w", format.group = "g", format.attributes = {"x"};
      fuzz_importer(DelimitedImporter(format), text);
    }
  return 0;
}
