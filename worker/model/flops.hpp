// What training costs at least, in floating-point operations: the numerator of model FLOP/s and MFU (Chowdhery et al.
// 2022, "PaLM", appendix B), for an encoder-decoder. Pure; any thread.
//
// A source of S tokens whose memory serves outputs of T_1, T_2, … tokens:
//   F = 6 S (E + X) + 12 h Le S^2  +  sum over outputs of  6 T (D - X + d V) + 12 h Ld (T^2 + S T)
//   h = heads d_kv     E = Le (4 d h + k d ff)      weights of the encoder's products; k = 3 when gated, else 2
//   X = 2 Ld d h       D = Ld (8 d h + k d ff)      of the decoder's; X of them multiply the source: cross keys, values
// 6: two operations a weight forward, four backward. 12 h: the same for scores and contexts of attention, causal or
// not. Padding, look-ups of embeddings, norms and what is computed a second time do not count. The usual 6 N T is wrong
// here: no token meets all weights. With LoRA adapters the weights are frozen, so their 6 is a 4, and the r (in + out)
// weights of an adapter beside each target are added with their 6.
#pragma once
#include <cstdint>
#include <span>

#include "common/config/run_config.hpp"

namespace plumbline {

/// Of one source with its outputs: real tokens, EOS counted, after cutting. One output is a demonstration's, two are a
/// preference's whose source is encoded once.
double training_flops(const ModelConfig& model, std::int64_t source_tokens, std::span<const std::int64_t> output_tokens,
                      const LoraConfig& lora = {});

}  // namespace plumbline
