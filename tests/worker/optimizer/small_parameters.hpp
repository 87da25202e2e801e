// Parameters of every kind that an optimizer tells apart, for its tests.
#pragma once
#include <gtest/gtest.h>

#include "worker/model/parameters.hpp"

namespace plumbline {

inline Parameters small_parameters() {
  at::set_num_threads(1);
  Parameters p({{"shared.weight", {3, 7}},
                {"encoder.block.0.layer.0.layer_norm.weight", {5}},
                {"lm_head.weight", {40, 11}},
                {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", {8, 2}}},
               at::kCPU);
  at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
  generator.set_current_seed(3);
  for (const auto& spec : p.specs()) p.flat().narrow(0, spec.offset, spec.size()).normal_(0, 1, generator);
  return p;
}

/// The largest magnitude between the parameters, where all must stay zero.
inline float largest_gap(const Parameters& parameters) {
  at::Tensor gaps = parameters.flat().detach().clone();
  for (const auto& spec : parameters.specs()) gaps.narrow(0, spec.offset, spec.size()).zero_();
  return gaps.abs().max().item<float>();
}

}  // namespace plumbline
