// What a dataset says about itself: the data card for people (README.md, Markdown) and the provenance for programs
// (dataset.json). Both are made of the same facts and hold no time, host or path, so the same inputs give the same
// bytes.
#pragma once
#include <string>
#include <vector>

#include "common/core/json.hpp"
#include "common/data/dataset.hpp"
#include "coordinator/curate/classifier_judges.hpp"
#include "coordinator/curate/pool.hpp"
#include "coordinator/curate/recipe.hpp"
#include "coordinator/curate/shard_output.hpp"
#include "coordinator/curate/split.hpp"

namespace plumbline {

/// All that is known when the shards are written.
struct CurationFacts {
  const Recipe& recipe;
  const Pool& pool;
  const Splits& splits;
  const WrittenShards& written;
  const std::vector<JudgeReport>& judges;
  const std::vector<Norm>& norms;  ///< the recipe's, with the classifiers' accuracies
};

Json provenance(const CurationFacts& facts);
std::string data_card(const CurationFacts& facts);
/// What deserves a person's attention before training, one sentence each: a norm without held-out examples, an
/// objective that its examples cannot serve, a judge that is hardly better than chance.
std::vector<std::string> warnings(const CurationFacts& facts);

/// Examples by kind.
struct KindCounts {
  std::int64_t demonstrations = 0, preferences = 0, prohibitions = 0;
  [[nodiscard]] std::int64_t total() const { return demonstrations + preferences + prohibitions; }
};
KindCounts count_examples(const Pool& pool, const Splits& splits, std::size_t norm, Part part);

}  // namespace plumbline
