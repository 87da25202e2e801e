#include "worker/objective/outputs.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace plumbline {

namespace {

/// In fp32 where the products were made in bf16.
at::Tensor log_softmax(const at::Tensor& logits_PV) {
  return logits_PV.scalar_type() == at::kBFloat16 ? at::log_softmax(logits_PV, -1, at::kFloat)
                                                  : at::log_softmax(logits_PV, -1);
}

/// log p(target) of each position. The gradient, (onehot - softmax) g, is made from the kept log-probs in place of the
/// two nodes and the zero-filled matrix that log_softmax and gather would need.
struct TokenLogProbs : torch::autograd::Function<TokenLogProbs> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& logits_PV,
                            const at::Tensor& target_P) {
    const at::Tensor log_probs = log_softmax(logits_PV);
    const at::Tensor index = target_P.unsqueeze(1);
    ctx->save_for_backward({log_probs, index});
    return log_probs.gather(1, index).squeeze(1);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor g = grads[0].unsqueeze(1);
    at::Tensor dlogits = saved[0].exp().mul_(-g);
    dlogits.scatter_(1, saved[1],
                     dlogits.gather(1, saved[1]) + g);  // One index a row: no addition whose order could vary.
    return {dlogits, at::Tensor()};
  }
};

/// -log(1 - p(target)) of each position, exact for p near 1: the log-sum-exp over all other tokens is kept as it is.
at::Tensor token_unlikelihoods(const at::Tensor& logits_PV, const at::Tensor& target_P) {
  const at::Tensor log_probs = log_softmax(logits_PV);
  const at::Tensor others = log_probs.scatter(1, target_P.unsqueeze(1), -std::numeric_limits<float>::infinity());
  return -at::logsumexp(others, {1});
}

/// The used rows of both sides, each padded with `fill` to the longer: [R,T].
at::Tensor join(const at::Tensor& desired, const at::Tensor& undesired, const UsedRows& used, std::int64_t fill) {
  std::vector<at::Tensor> parts;
  std::int64_t longest = 0;
  const auto take = [&](const at::Tensor& side, const std::vector<std::int64_t>& rows) {
    if (rows.empty()) return;
    const bool all = static_cast<std::int64_t>(rows.size()) == side.size(0);
    parts.push_back(all ? side : side.index_select(0, at::tensor(rows, at::kLong).to(side.device())));
    longest = std::max(longest, side.size(1));
  };
  take(desired, used.desired);
  take(undesired, used.undesired);
  for (at::Tensor& part : parts)
    if (part.size(1) < longest)
      part = at::constant_pad_nd(part, {0, longest - part.size(1)}, static_cast<double>(fill));
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

/// 1 where row r's span holds time t, else 0: fp64 [T,R].
at::Tensor span_mask(const std::vector<TokenSpan>& spans, std::int64_t T, at::Device device) {
  const auto R = static_cast<std::int64_t>(spans.size());
  const at::Tensor mask = at::zeros({T, R}, at::kDouble);
  auto* out = mask.mutable_data_ptr<double>();
  for (std::int64_t r = 0; r < R; ++r)
    for (std::int64_t t = spans[static_cast<std::size_t>(r)].begin; t < spans[static_cast<std::size_t>(r)].end; ++t)
      out[t * R + r] = 1;
  return mask.to(device);
}

bool is_identity(const std::vector<std::int64_t>& rows, std::int64_t size) {
  if (static_cast<std::int64_t>(rows.size()) != size) return false;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i] != static_cast<std::int64_t>(i)) return false;
  return true;
}

}  // namespace

Labels labels_of(const Batch& batch, const UsedRows& used) {
  const at::Tensor labels_TR = join(batch.desired.labels_RT, batch.undesired.labels_RT, used, -100).t().contiguous();
  Labels labels{labels_TR.size(0), labels_TR.size(1), {}, {}};
  const at::Tensor flat = labels_TR.view({-1});
  labels.position_P = flat.ge(0).nonzero().squeeze(1);
  labels.target_P = flat.index_select(0, labels.position_P);
  return labels;
}

namespace {

/// A value for each label position, as a dense fp64 [T,R] with zeros elsewhere.
at::Tensor dense(const at::Tensor& value_P, const at::Tensor& position_P, const Labels& labels) {
  return at::zeros({labels.T * labels.R}, value_P.options().dtype(at::kDouble))
      .scatter(0, position_P, value_P.to(at::kDouble))
      .view({labels.T, labels.R});
}

/// Sums over the compared tokens of each row, along the dense time axis: the same order on every device.
class ComparedSum {
 public:
  ComparedSum(const Labels& labels, const UsedRows& used, at::Device device)
      : mask_TR_(used.compared.empty() ? at::Tensor() : span_mask(used.compared, labels.T, device)) {}
  [[nodiscard]] bool is_everything() const { return !mask_TR_.defined(); }
  [[nodiscard]] at::Tensor operator()(const at::Tensor& value_TR) const {
    return (mask_TR_.defined() ? value_TR * mask_TR_ : value_TR).sum(0);
  }

 private:
  at::Tensor mask_TR_;
};

ScoredOutputs score_log_probs(const at::Tensor& log_prob_P, const Labels& labels, const ComparedSum& compared) {
  ScoredOutputs result;
  const at::Tensor log_prob_TR = dense(log_prob_P, labels.position_P, labels);
  result.log_prob_R = log_prob_TR.sum(0);
  result.compared_R = compared.is_everything() ? result.log_prob_R : compared(log_prob_TR);
  return result;
}

/// Logits of more elements than this are made in chunks and never held as a whole (64 MiB in fp32). A property of the
/// batch alone, so the same on every worker.
constexpr std::int64_t kMaxLogits = 1 << 24;

}  // namespace

ScoredOutputs score_logits(const at::Tensor& logits_PV, const Labels& labels, const UsedRows& used,
                           Unlikelihood unlikelihood) {
  const ComparedSum compared(labels, used, logits_PV.device());
  ScoredOutputs result = score_log_probs(TokenLogProbs::apply(logits_PV, labels.target_P), labels, compared);
  if (unlikelihood == Unlikelihood::kCompute) {
    const auto first_undesired = static_cast<std::int64_t>(used.desired.size());
    const at::Tensor chosen = at::remainder(labels.position_P, labels.R).ge(first_undesired).nonzero().squeeze(1);
    const at::Tensor unlikely_P =
        token_unlikelihoods(at::embedding(logits_PV, chosen), labels.target_P.index_select(0, chosen));
    result.unlikely_R = compared(dense(unlikely_P, labels.position_P.index_select(0, chosen), labels));
  }
  return result;
}

ScoredOutputs score_outputs(const T5& model, const Batch& batch, const UsedRows& used, Unlikelihood unlikelihood,
                            std::optional<DropoutKey> dropout) {
  const at::Tensor input_RT = join(batch.desired.input_RT, batch.undesired.input_RT, used, 0);
  std::vector<std::int64_t> source_row;
  for (const auto r : used.desired) source_row.push_back(batch.desired.batch_row[static_cast<std::size_t>(r)]);
  for (const auto r : used.undesired) source_row.push_back(batch.undesired.batch_row[static_cast<std::size_t>(r)]);

  const at::Tensor memory = model.encode(batch.source_BS, batch.source_mask_BS, dropout);
  const at::Tensor states = is_identity(source_row, batch.source_BS.size(0))
                                ? model.decode(input_RT, memory, batch.source_mask_BS, dropout)
                                : model.decode_rows(input_RT, memory, batch.source_mask_BS,
                                                    at::tensor(source_row, at::kLong).to(input_RT.device()), dropout);

  // The head and the soft-max see the label positions only, time-major as the states lie in memory.
  const Labels labels = labels_of(batch, used);
  const at::Tensor states_ND = states.transpose(0, 1).reshape({labels.T * labels.R, -1});
  const bool all = labels.position_P.size(0) == states_ND.size(0);
  const at::Tensor states_PD = all ? states_ND : at::embedding(states_ND, labels.position_P);
  const std::int64_t V = model.config().vocab_size;
  if (states_PD.size(0) * V > kMaxLogits && unlikelihood == Unlikelihood::kSkip) {
    const at::Tensor log_prob_P =
        model.log_probs_in_chunks(states_PD, labels.target_P, std::max<std::int64_t>(1, kMaxLogits / V));
    return score_log_probs(log_prob_P, labels, ComparedSum(labels, used, log_prob_P.device()));
  }
  return score_logits(model.logits(states_PD), labels, used, unlikelihood);
}

}  // namespace plumbline
