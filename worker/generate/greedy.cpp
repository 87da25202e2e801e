#include "worker/generate/greedy.hpp"

#include <numeric>

#include "common/text/tokenizer.hpp"

namespace plumbline {

std::vector<Generated> generate_greedy(const T5& model, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                                       int max_new_tokens) {
  const at::NoGradGuard no_grad;
  const std::int64_t num_rows = source_BS.size(0);
  std::vector<Generated> outputs(static_cast<std::size_t>(num_rows));
  if (num_rows == 0 || max_new_tokens <= 0) return outputs;
  auto cache = model.start_cache(model.encode(source_BS, source_mask_BS), source_mask_BS);
  std::vector<std::int64_t> live(outputs.size());  // which output each row of the cache writes
  std::iota(live.begin(), live.end(), 0);
  at::Tensor token_B = at::full({num_rows}, kPadToken, source_BS.options());
  for (int t = 0; t < max_new_tokens; ++t) {
    token_B = model.step(*cache, token_B).argmax(-1);
    const at::Tensor host = token_B.to(at::kCPU).contiguous();
    const std::int64_t* next = host.const_data_ptr<std::int64_t>();
    std::vector<std::int64_t> kept, kept_live;
    for (std::size_t i = 0; i < live.size(); ++i) {
      Generated& output = outputs[static_cast<std::size_t>(live[i])];
      output.tokens.push_back(static_cast<std::int32_t>(next[i]));
      output.complete = next[i] == kEosToken;
      if (output.complete) continue;
      kept.push_back(static_cast<std::int64_t>(i));
      kept_live.push_back(live[i]);
    }
    if (kept.empty()) break;
    if (kept.size() == live.size() || t + 1 == max_new_tokens) continue;
    const at::Tensor rows = at::tensor(kept, at::kLong).to(source_BS.device());
    model.keep_rows(*cache, rows);
    token_B = token_B.index_select(0, rows);
    live = std::move(kept_live);
  }
  return outputs;
}

}  // namespace plumbline
