#include "worker/generate/repair.hpp"

#include <algorithm>

#include "common/core/check.hpp"

namespace plumbline {

namespace {

bool allows(const Constraint& constraint, std::size_t output, int budget, std::int32_t token) {
  std::vector<std::int32_t> allowed;
  constraint.allowed(output, budget, allowed);
  return std::binary_search(allowed.begin(), allowed.end(), token);
}

/// Another constraint, and before its first refusal what was written: nothing else may come.
class KeepWhatIsAllowed final : public Constraint {
 public:
  KeepWhatIsAllowed(Constraint& constraint, const std::vector<Generated>& written)
      : constraint_(constraint), written_(written), kept_(written.size(), 0), has_parted_(written.size(), false) {}

  void allowed(std::size_t output, int budget, std::vector<std::int32_t>& tokens) const override {
    constraint_.allowed(output, budget, tokens);
    const auto& original = written_.at(output).tokens;
    const std::size_t position = kept_[output];
    if (has_parted_[output] || position == original.size()) return;
    if (std::binary_search(tokens.begin(), tokens.end(), original[position])) tokens.assign(1, original[position]);
  }
  void written(std::size_t output, std::int32_t token) override {
    constraint_.written(output, token);
    if (has_parted_[output]) return;
    const auto& original = written_.at(output).tokens;
    if (kept_[output] < original.size() && original[kept_[output]] == token)
      ++kept_[output];
    else
      has_parted_[output] = true;
  }

 private:
  Constraint& constraint_;
  const std::vector<Generated>& written_;
  std::vector<std::size_t> kept_;  ///< by output: tokens of the original so far
  std::vector<bool> has_parted_;
};

}  // namespace

std::size_t accepted_tokens(Constraint& constraint, std::size_t output, const std::vector<std::int32_t>& written,
                            int max_new_tokens) {
  for (std::size_t t = 0; t < written.size(); ++t) {
    if (!allows(constraint, output, max_new_tokens - static_cast<int>(t), written[t])) return t;
    constraint.written(output, written[t]);
  }
  return written.size();
}

std::vector<Generated> repair(const T5& model, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                              int max_new_tokens, const std::vector<OutputKey>& outputs,
                              const std::vector<Generated>& written, Constraint& constraint) {
  PLUMBLINE_CHECK(outputs.size() == written.size(), "each output that is repaired must have been written");
  Decoding decoding;
  decoding.max_new_tokens = max_new_tokens;
  KeepWhatIsAllowed keep(constraint, written);
  return generate(model, source_BS, source_mask_BS, decoding, outputs, &keep);
}

}  // namespace plumbline
