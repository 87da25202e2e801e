// The checks that look at one example alone.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "common/text/norm.hpp"
#include "common/text/tokenizer.hpp"
#include "coordinator/curate/importer.hpp"
#include "coordinator/curate/recipe.hpp"

namespace plumbline {

class ExampleCheck {
 public:
  /// `recipe` and `tokenizer` must outlive the check.
  static Result<ExampleCheck> make(const Recipe& recipe, const Tokenizer& tokenizer);
  /// Why the example cannot be in the dataset; nothing when it can.
  [[nodiscard]] std::optional<Reason> refuse(const Imported& example, std::size_t norm) const;
  /// What is worth a look although the example stays.
  [[nodiscard]] std::vector<Reason> remarks(const Imported& example, std::size_t norm) const;

 private:
  ExampleCheck(const Recipe& recipe, const Tokenizer& tokenizer) : recipe_(&recipe), tokenizer_(&tokenizer) {}
  [[nodiscard]] bool too_long(const Imported& example) const;

  const Recipe* recipe_;
  const Tokenizer* tokenizer_;
  std::vector<std::unique_ptr<Judge>> judges_;  ///< by norm; null where a classifier judges
};

/// The text without ASCII white space, punctuation and letter case: what is left when form does not count.
std::string without_form(std::string_view text);

}  // namespace plumbline
