// What may be written next: a constraint narrows the choice of each token, so that a form that can be checked
// mechanically holds by construction. One that is used keeps the state of every output of one call of generate().
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace plumbline {

class Constraint {
 public:
  virtual ~Constraint() = default;
  /// The tokens that may come next in `output` (its place in generate()'s list): at least one, ascending. `budget` is
  /// how many tokens may still be written, this one and the EOS included; at least 1.
  virtual void allowed(std::size_t output, int budget, std::vector<std::int32_t>& tokens) const = 0;
  /// `token` was written, which allowed() had named.
  virtual void written(std::size_t output, std::int32_t token) = 0;
};

}  // namespace plumbline
