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

ScoredOutputs score_logits(const at::Tensor& logits_PV, const Labels& labels, const UsedRows& used,
                           Unlikelihood unlikelihood) {
  const std::int64_t T = labels.T, R = labels.R;
  const auto dense = [&](const at::Tensor& value_P, const at::Tensor& at_P) {
    return at::zeros({T * R}, value_P.options().dtype(at::kDouble))
        .scatter(0, at_P, value_P.to(at::kDouble))
        .view({T, R});
  };
  const at::Tensor compared_TR = used.compared.empty() ? at::Tensor() : span_mask(used.compared, T, logits_PV.device());
  const auto compared_sum = [&](const at::Tensor& value_TR) {  // A dense sum: the same order on every device.
    return (compared_TR.defined() ? value_TR * compared_TR : value_TR).sum(0);
  };
  ScoredOutputs result;
  const at::Tensor log_prob_TR = dense(TokenLogProbs::apply(logits_PV, labels.target_P), labels.position_P);
  result.log_prob_R = log_prob_TR.sum(0);
  result.compared_R = compared_TR.defined() ? compared_sum(log_prob_TR) : result.log_prob_R;
  if (unlikelihood == Unlikelihood::kCompute) {
    const auto first_undesired = static_cast<std::int64_t>(used.desired.size());
    const at::Tensor chosen = at::remainder(labels.position_P, R).ge(first_undesired).nonzero().squeeze(1);
    const at::Tensor unlikely_P =
        token_unlikelihoods(at::embedding(logits_PV, chosen), labels.target_P.index_select(0, chosen));
    result.unlikely_R = compared_sum(dense(unlikely_P, labels.position_P.index_select(0, chosen)));
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
  const at::Tensor logits_PV = model.logits(all ? states_ND : at::embedding(states_ND, labels.position_P));
  return score_logits(logits_PV, labels, used, unlikelihood);
}

}  // namespace plumbline
