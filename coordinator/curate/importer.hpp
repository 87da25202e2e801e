// Importers turn files into examples: one class a format. An importer reads one file line by line and hands each
// example to a sink; it holds no state between files, so one object serves all files of a source.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/core/result.hpp"
#include "coordinator/curate/left_out.hpp"
#include "coordinator/curate/line_reader.hpp"
#include "coordinator/curate/recipe.hpp"

namespace plumbline {

/// An example as a file states it. Absent sides are absent, empty ones empty: the checks tell them apart.
struct Imported {
  std::int64_t line = 0;  ///< where it starts
  std::string source;
  std::optional<std::string> desired, undesired;
  float weight = 1;
  std::map<std::string, float> attributes;
  std::string group;  ///< examples of one group never part; empty: the example stands alone
};

class ImportSink {
 public:
  virtual ~ImportSink() = default;
  /// An error (too many examples) ends the import.
  virtual Status take(Imported example) = 0;
  virtual void leave_out(Reason reason, std::int64_t line) = 0;
};

class Importer {
 public:
  virtual ~Importer() = default;
  /// Everything wrong with the file is a data error at file:line.
  virtual Status read(LineReader& lines, ImportSink& sink) const = 0;
};

/// `norm` is what the examples are for (its encodings, for alignments); `seed` chooses what is drawn. Null for a
/// dataset, which has no lines.
std::unique_ptr<Importer> make_importer(const SourceRecipe& source, const Norm& norm, std::uint64_t seed);

}  // namespace plumbline
