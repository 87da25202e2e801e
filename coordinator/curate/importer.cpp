#include "coordinator/curate/importer.hpp"

#include "coordinator/curate/delimited_importer.hpp"
#include "coordinator/curate/dialogue_importer.hpp"
#include "coordinator/curate/fasta_importer.hpp"
#include "coordinator/curate/jsonl_importer.hpp"
#include "coordinator/curate/simulated_importer.hpp"

namespace plumbline {

namespace {

struct Make {
  const Norm& norm;
  std::uint64_t seed;
  std::unique_ptr<Importer> operator()(const JsonlFormat& f) const { return std::make_unique<JsonlImporter>(f); }
  std::unique_ptr<Importer> operator()(const DialoguesFormat& f) const { return std::make_unique<DialogueImporter>(f); }
  std::unique_ptr<Importer> operator()(const DelimitedFormat& f) const {
    return std::make_unique<DelimitedImporter>(f);
  }
  std::unique_ptr<Importer> operator()(const FastaFormat& f) const {
    return std::make_unique<FastaImporter>(f, norm.rules, seed);
  }
  std::unique_ptr<Importer> operator()(const SimulateFormat&) const {
    return std::make_unique<SimulatedImporter>(norm.rules);
  }
  std::unique_ptr<Importer> operator()(const DatasetFormat&) const { return nullptr; }
};

}  // namespace

std::unique_ptr<Importer> make_importer(const SourceRecipe& source, const Norm& norm, std::uint64_t seed) {
  return std::visit(Make{norm, seed}, source.format);
}

}  // namespace plumbline
