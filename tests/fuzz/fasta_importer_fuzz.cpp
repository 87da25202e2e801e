// Aligned FASTA, whole and drawn from.
#include <cstdint>
#include <string_view>

#include "coordinator/curate/fasta_importer.hpp"
#include "tests/fuzz/checking_sink.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  FastaFormat whole, drawn;
  drawn.min_rows = 2, drawn.max_rows = 3, drawn.examples_per_file = 4, drawn.max_residues = 50;
  fuzz_importer(FastaImporter(whole, {}, 1), text);
  fuzz_importer(FastaImporter(drawn, {}, 1), text);
  return 0;
}
