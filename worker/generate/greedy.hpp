// Greedy generation with cached keys and values. Finished rows leave the batch.
#pragma once
#include <cstdint>
#include <vector>

#include "worker/model/t5.hpp"

namespace plumbline {
struct Generated {
  std::vector<std::int32_t> tokens;
  bool complete = false;
};  ///< complete: ended by EOS (included)
/// One output a row. Ties go to the lowest id. At most `max_new_tokens` tokens each.
std::vector<Generated> generate_greedy(const T5& model, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                                       int max_new_tokens);
}  // namespace plumbline
