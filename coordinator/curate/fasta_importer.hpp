// Aligned FASTA, one alignment a file: the source is the rows without their gaps, the desired output the alignment.
// '-' and '.' are gaps; letters are folded to upper case (Pfam and BaliFam write inserts with '.' and small letters).
// From a large alignment a few rows at a time can be drawn; columns that then hold gaps only are removed.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "common/text/alignment.hpp"
#include "coordinator/curate/importer.hpp"

namespace plumbline {

struct FastaRow {
  std::string name;       ///< the first word after '>'
  std::int64_t line = 0;  ///< of its '>'
  std::string residues;   ///< upper case, '-' for a gap
};
/// The rows of an alignment, all of one length; nothing when the file is blank. Ragged rows are a data error that names
/// the row.
Result<std::vector<FastaRow>> read_alignment(LineReader& lines);

/// Rows without the columns that hold gaps only.
Rows without_empty_columns(const Rows& rows);

/// An aligned set of rows as the example that teaches it.
class AlignmentEncoder {
 public:
  explicit AlignmentEncoder(const RuleSet& rules);
  [[nodiscard]] Imported encode(const Rows& aligned, std::int64_t line) const;

 private:
  std::unique_ptr<SourceEncoding> source_;
  std::unique_ptr<TargetEncoding> target_;
};

class FastaImporter final : public Importer {
 public:
  FastaImporter(FastaFormat format, const RuleSet& rules, std::uint64_t seed)
      : format_(format), encoder_(rules), seed_(seed) {}
  Status read(LineReader& lines, ImportSink& sink) const override;

 private:
  FastaFormat format_;
  AlignmentEncoder encoder_;
  std::uint64_t seed_;
};

}  // namespace plumbline
