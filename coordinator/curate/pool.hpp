// The pool: every example that passed the checks which look at one example alone, and a count of those that did not.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/data/example.hpp"
#include "common/text/tokenizer.hpp"
#include "coordinator/curate/left_out.hpp"
#include "coordinator/curate/recipe.hpp"

namespace plumbline {

inline constexpr std::size_t kMaxExamples = 20'000'000;

struct PooledExample {
  Example example;
  std::uint16_t norm = 0;  ///< index into the recipe's norms
  Place place;
  std::string group;  ///< examples of one group share a split; empty: none
};

struct SourceFile {
  std::string name;  ///< without its folder, so that a dataset does not depend on where its files lay
  std::string sha256;
};

struct Pool {
  std::vector<PooledExample> examples;
  LeftOut left_out;
  std::vector<std::vector<SourceFile>> files;  ///< by source
  std::int64_t read = 0;                       ///< examples that the files state
};

/// Reads every source of the recipe; `paths` replaces the recipe's by name. Simulated sources write their alignments
/// into `scratch` (and remove them).
Result<Pool> read_sources(const Recipe& recipe, const Tokenizer& tokenizer,
                          const std::map<std::string, std::filesystem::path>& paths,
                          const std::filesystem::path& scratch);

/// Removes exact duplicates, then every example whose output another example labels the other way for the same source
/// and norm. Notes them in left_out.
void remove_duplicates_and_contradictions(Pool& pool);

}  // namespace plumbline
