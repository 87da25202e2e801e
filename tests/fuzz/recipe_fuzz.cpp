// A recipe: whatever the bytes, an Error at a place, or a recipe whose parts fit together.
#include <cstdint>
#include <string>

#include "common/core/check.hpp"
#include "coordinator/curate/recipe.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plumbline;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto recipe = parse_recipe(text, "recipe.yaml", "folder");
  if (recipe.has_error()) {
    PLUMBLINE_CHECK(recipe.error().code == ErrorCode::kUsage, "a recipe's mistakes are usage errors");
    PLUMBLINE_CHECK(recipe.error().where.starts_with("recipe.yaml"), "an error names the file");
    return 0;
  }
  PLUMBLINE_CHECK(!recipe->norms.empty() && !recipe->sources.empty(), "a recipe has norms and sources");
  for (const SourceRecipe& source : recipe->sources) {
    PLUMBLINE_CHECK(source.norm < recipe->norms.size(), "a source's norm exists");
    PLUMBLINE_CHECK(source.reads_files() != source.path.empty(), "a path is where a file is read");
  }
  return 0;
}
