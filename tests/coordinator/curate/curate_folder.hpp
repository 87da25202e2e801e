// A folder with a recipe of two norms and what it reads.
#pragma once
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <random>
#include <string>

#include "coordinator/curate/curate.hpp"
#include "tests/coordinator/curate/curate_fixtures.hpp"

namespace plumbline {

inline constexpr const char* kRecipe = R"(name: tiny
description: A dataset of two norms.
seed: 3
held_out: 0.2
shard_examples: 100
norms:
  polite:
    description: No insult is left.
    objective: dpo
    rules: {forbidden_words: [fool]}
  learned:
    description: The output is kind.
    objective: dpo
    judge: classifier
sources:
  - {name: polite, norm: polite, format: jsonl, path: polite.jsonl, license: CC0, description: Made up.}
  - {name: learned, norm: learned, format: tsv, path: learned.tsv, columns: {source: s, desired: d, undesired: u}}
)";

class Curate : public testing::Test {
 protected:
  Curate() {
    spdlog::set_level(spdlog::level::off);
    std::mt19937 random(1);
    std::string polite, learned = "s\td\tu\n";
    for (int i = 0; i < 200; ++i) {
      const std::string text = std::to_string(random()) + " " + std::to_string(random());
      polite += "{\"source\": \"p " + text +
                "\", \"desired\": \"friend\", \"undesired\": \"fool\", \"attributes\": {\"n\": " + std::to_string(i) +
                "}}\n";
      learned += "l " + text + "\tkind words " + text + "\tugly words " + text + "\n";
    }
    polite += "{\"source\": \"same\", \"desired\": \"x\", \"undesired\": \"x\"}\n";
    folder.write("polite.jsonl", polite);
    folder.write("learned.tsv", learned);
    folder.write("recipe.yaml", kRecipe);
  }
  [[nodiscard]] CurateOptions options(bool replace = false, const std::string& out = "out") const {
    return {.recipe = folder / "recipe.yaml", .out = folder / out, .source_paths = {}, .replace = replace};
  }
  void edit_recipe(const std::string& from, const std::string& to) const {
    std::string text = kRecipe;
    folder.write("recipe.yaml", text.replace(text.find(from), from.size(), to));
  }
  /// The error of a curation that must leave the folder as it was.
  [[nodiscard]] Error error_of(const CurateOptions& options) const {
    const auto before = folder.names();
    const auto info = curate(options);
    EXPECT_FALSE(info.has_value());
    EXPECT_EQ(folder.names(), before) << "something was left behind";
    return info.has_value() ? Error{} : info.error();
  }
  ScratchFolder folder;
};

}  // namespace plumbline
