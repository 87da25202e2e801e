#include "worker/generate/generate.hpp"

#include <numeric>

#include "common/core/check.hpp"
#include "common/text/tokenizer.hpp"

namespace plumbline {

namespace {

/// The row of the batch that each output answers; undefined when output o answers row o, for every o.
at::Tensor rows_of(const std::vector<OutputKey>& outputs, std::int64_t num_rows, at::Device device) {
  std::vector<std::int64_t> rows;
  bool in_order = static_cast<std::int64_t>(outputs.size()) == num_rows;
  for (const OutputKey& output : outputs) {
    PLUMBLINE_CHECK(output.batch_row >= 0 && output.batch_row < num_rows, "an output answers a row that is not there");
    in_order = in_order && output.batch_row == static_cast<std::int64_t>(rows.size());
    rows.push_back(output.batch_row);
  }
  return in_order ? at::Tensor() : at::tensor(rows, at::kLong).to(device);
}

/// The next token of every live output, on the host.
class Chooser {
 public:
  Chooser(const Decoding& decoding, const std::vector<OutputKey>& outputs, Constraint* constraint)
      : decoding_(decoding), outputs_(outputs), constraint_(constraint) {}

  /// Row i of the logits is output live[i]'s, at position t. -> token_L on the logits' device.
  [[nodiscard]] at::Tensor choose(const at::Tensor& logits_LV, const std::vector<std::int64_t>& live, int t) {
    if (decoding_.temperature == 0 && constraint_ == nullptr) return logits_LV.argmax(-1);
    const at::Tensor host = logits_LV.to(at::kCPU).to(at::kFloat).contiguous();
    const auto vocabulary = static_cast<std::size_t>(host.size(1));
    std::vector<std::int64_t> tokens(live.size());
    for (std::size_t i = 0; i < live.size(); ++i) {
      const std::span<const float> logits_V(host.const_data_ptr<float>() + i * vocabulary, vocabulary);
      tokens[i] = choose_one(logits_V, static_cast<std::size_t>(live[i]), t);
    }
    return at::tensor(tokens, at::kLong).to(logits_LV.device());
  }

 private:
  std::int32_t choose_one(std::span<const float> logits_V, std::size_t output, int t) {
    if (constraint_ != nullptr) {
      candidates_.clear();
      constraint_->allowed(output, decoding_.max_new_tokens - t, candidates_);
    } else if (candidates_.size() != logits_V.size()) {
      candidates_.resize(logits_V.size());
      std::iota(candidates_.begin(), candidates_.end(), 0);
    }
    if (decoding_.temperature == 0) return choose_greedy(logits_V, candidates_);
    const OutputKey& key = outputs_[output];
    return choose_sampled(logits_V, candidates_, decoding_,
                          uniform_of(decoding_.seed, key.row, key.sample, static_cast<std::uint64_t>(t)));
  }

  const Decoding& decoding_;
  const std::vector<OutputKey>& outputs_;
  Constraint* constraint_;
  std::vector<std::int32_t> candidates_;
};

}  // namespace

std::vector<Generated> generate(const T5& model, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                                const Decoding& decoding, const std::vector<OutputKey>& outputs,
                                Constraint* constraint) {
  const at::NoGradGuard no_grad;
  std::vector<Generated> written(outputs.size());
  if (outputs.empty() || decoding.max_new_tokens <= 0) return written;
  auto cache = model.start_cache(model.read(source_BS, source_mask_BS), source_mask_BS);
  if (const at::Tensor rows = rows_of(outputs, source_BS.size(0), source_BS.device()); rows.defined())
    model.keep_rows(*cache, rows);
  Chooser chooser(decoding, outputs, constraint);
  std::vector<std::int64_t> live(outputs.size());  // which output each row of the cache writes
  std::iota(live.begin(), live.end(), 0);
  at::Tensor token_L = at::full({static_cast<std::int64_t>(outputs.size())}, kPadToken, source_BS.options());
  for (int t = 0; t < decoding.max_new_tokens; ++t) {
    token_L = chooser.choose(model.step(*cache, token_L), live, t);
    const at::Tensor host = token_L.to(at::kCPU).contiguous();
    const std::int64_t* next = host.const_data_ptr<std::int64_t>();
    std::vector<std::int64_t> kept, kept_live;
    for (std::size_t i = 0; i < live.size(); ++i) {
      Generated& output = written[static_cast<std::size_t>(live[i])];
      output.tokens.push_back(static_cast<std::int32_t>(next[i]));
      output.complete = next[i] == kEosToken;
      if (constraint != nullptr) constraint->written(static_cast<std::size_t>(live[i]), output.tokens.back());
      if (output.complete) continue;
      kept.push_back(static_cast<std::int64_t>(i));
      kept_live.push_back(live[i]);
    }
    if (kept.empty()) break;
    if (kept.size() == live.size() || t + 1 == decoding.max_new_tokens) continue;
    const at::Tensor rows = at::tensor(kept, at::kLong).to(source_BS.device());
    model.keep_rows(*cache, rows);
    token_L = token_L.index_select(0, rows);
    live = std::move(kept_live);
  }
  return written;
}

std::vector<Generated> generate_greedy(const T5& model, const at::Tensor& source_BS, const at::Tensor& source_mask_BS,
                                       int max_new_tokens, Constraint* constraint) {
  Decoding decoding;
  decoding.max_new_tokens = max_new_tokens;
  std::vector<OutputKey> outputs(static_cast<std::size_t>(source_BS.size(0)));
  for (std::size_t o = 0; o < outputs.size(); ++o) outputs[o].batch_row = static_cast<std::int64_t>(o);
  return generate(model, source_BS, source_mask_BS, decoding, outputs, constraint);
}

}  // namespace plumbline
