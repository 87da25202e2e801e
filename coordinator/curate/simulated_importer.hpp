// What simulate.py wrote: one true alignment a line, with the numbers that evolution was run with.
#pragma once
#include "coordinator/curate/fasta_importer.hpp"
#include "coordinator/curate/importer.hpp"

namespace plumbline {

class SimulatedImporter final : public Importer {
 public:
  explicit SimulatedImporter(const RuleSet& rules) : encoder_(rules) {}
  Status read(LineReader& lines, ImportSink& sink) const override;

 private:
  AlignmentEncoder encoder_;
};

}  // namespace plumbline
